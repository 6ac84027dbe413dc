/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a program may expect of a file system, tried on a folder of one:
 *
 *   files calls FOLDER           links, names, times, holes, locks, extended attributes, files without names
 *   files users FOLDER           owners, groups, modes and who may do what (as root, which becomes user 1000)
 *   files model FOLDER SEED N    N random operations on a file that must stay what a model of it is
 *   files many FOLDER N          a folder of N files
 *   files make FOLDER N          no test: N empty files
 *   files race FOLDER N          processes that move, replace and read the same names N times
 *
 * Prints one line, or says what was otherwise and ends with 1.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define EXPECT(condition)                                                                                              \
        do {                                                                                                           \
                if (!(condition)) {                                                                                    \
                        printf("line %d: %s: %s\n", __LINE__, #condition, strerror(errno));                            \
                        exit(1);                                                                                       \
                }                                                                                                      \
        } while (0)
#define FAILS_WITH(code, call)                                                                                         \
        do {                                                                                                           \
                errno = 0;                                                                                             \
                EXPECT((call) < 0 && errno == (code));                                                                 \
        } while (0)

static void put(const char *name, const char *text, mode_t mode)
{
        int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, mode);
        EXPECT(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && !close(fd));
}

static bool holds(const char *name, const char *text)
{
        char bytes[256] = { 0 };
        int fd = open(name, O_RDONLY);
        ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes) - 1);
        close(fd);
        return n == (ssize_t)strlen(text) && !strcmp(bytes, text);
}

static struct stat status(const char *name)
{
        struct stat st;
        EXPECT(!lstat(name, &st));
        return st;
}

/* ---- calls ---- */

static void links_and_names(void)
{
        char target[64] = { 0 };
        put("a", "first", 0644);
        EXPECT(!link("a", "b") && status("b").st_nlink == 2 && status("a").st_ino == status("b").st_ino);
        EXPECT(!symlink("a", "s") && readlink("s", target, sizeof(target)) == 1 && !strcmp(target, "a"));
        EXPECT(holds("s", "first") && S_ISLNK(status("s").st_mode));
        FAILS_WITH(EEXIST, link("a", "s"));
        put("c", "other", 0600);
        FAILS_WITH(EEXIST, renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
        EXPECT(!renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_EXCHANGE) && holds("a", "other") && holds("c", "first"));
        EXPECT(!mkdir("d", 0755) && !rename("c", "d/c") && holds("d/c", "first") && status("d/c").st_nlink == 2);
        FAILS_WITH(ENOTEMPTY, rmdir("d"));
        FAILS_WITH(EISDIR, unlink("d"));
        EXPECT(!rename("d", "e") && holds("e/c", "first") && !mkdir("d", 0700) && !rename("e", "d/e"));
        FAILS_WITH(EINVAL, rename("d", "d/e/f"));
        FAILS_WITH(ENAMETOOLONG,
                   mkdir("0123456789012345678901234567890123456789012345678901234567890123456789012345678"
                         "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
                         "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
                         "01234567890123456789012345678901",
                         0700));
        EXPECT(!unlink("d/e/c") && !rmdir("d/e") && !rmdir("d") && status("b").st_nlink == 1);
        FAILS_WITH(ENOENT, open("d/e/c", O_RDONLY));
        EXPECT(!mkfifo("fifo", 0640) && S_ISFIFO(status("fifo").st_mode) && !unlink("fifo"));
        EXPECT(!mknod("device", S_IFCHR | 0600, makedev(1, 259)) && status("device").st_rdev == makedev(1, 259));
        EXPECT(!unlink("device") && !unlink("a") && !unlink("b") && !unlink("s"));
}

static void files_without_names(void)
{
        char bytes[8] = { 0 }, path[64];
        put("gone", "here", 0600);
        int fd = open("gone", O_RDWR);
        struct stat st;
        EXPECT(fd >= 0 && !unlink("gone") && !fstat(fd, &st) && !st.st_nlink);
        EXPECT(pwrite(fd, "HE", 2, 0) == 2 && pread(fd, bytes, 8, 0) == 4 && !strcmp(bytes, "HEre"));
        EXPECT(!fchmod(fd, 0640) && !ftruncate(fd, 2) && !fstat(fd, &st) && st.st_size == 2 && !close(fd));
        EXPECT(!mkdir("folder", 0700) && (fd = open("folder", O_RDONLY | O_DIRECTORY)) >= 0 && !rmdir("folder"));
        FAILS_WITH(ENOENT, openat(fd, "x", O_CREAT | O_WRONLY, 0600));
        close(fd);
        fd = open(".", O_TMPFILE | O_RDWR, 0600);
        if (fd < 0) { /* FUSE_TMPFILE came with Linux 6.2 */
                EXPECT(errno == EOPNOTSUPP);
                return;
        }
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        EXPECT(write(fd, "kept", 4) == 4 && !linkat(AT_FDCWD, path, AT_FDCWD, "kept", AT_SYMLINK_FOLLOW) && !close(fd));
        EXPECT(holds("kept", "kept") && !unlink("kept"));
}

static void times_and_room(void)
{
        const struct timespec times[2] = { { 1000000001, 5 }, { 1500000000, 999999999 } };
        struct statvfs room;
        put("t", "x", 0600);
        EXPECT(!utimensat(AT_FDCWD, "t", times, 0) && status("t").st_mtim.tv_sec == 1500000000);
        EXPECT(status("t").st_mtim.tv_nsec == 999999999 && status("t").st_atim.tv_sec == 1000000001);
        EXPECT(!symlink("t", "l") && !utimensat(AT_FDCWD, "l", times, AT_SYMLINK_NOFOLLOW));
        EXPECT(status("l").st_mtim.tv_sec == 1500000000 && !lchown("l", 5, 6) && status("l").st_gid == 6);
        EXPECT(!statvfs(".", &room) && room.f_blocks && room.f_bavail <= room.f_blocks && room.f_namemax == 255);
        EXPECT(!unlink("t") && !unlink("l"));
}

static void holes(void)
{
        char bytes[4096];
        memset(bytes, 'x', sizeof(bytes));
        int fd = open("h", O_CREAT | O_RDWR, 0600);
        EXPECT(fd >= 0 && pwrite(fd, bytes, 4096, 1 << 20) == 4096 && status("h").st_size == (1 << 20) + 4096);
        EXPECT(!fsync(fd) && lseek(fd, 0, SEEK_DATA) == 1 << 20 && lseek(fd, 0, SEEK_HOLE) == 0);
        EXPECT(!fallocate(fd, 0, 0, 8192) && !fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 1 << 20, 4096));
        EXPECT(pread(fd, bytes, 4096, 1 << 20) == 4096 && !bytes[0] && !bytes[4095] && !fdatasync(fd));
        int copy = open("h2", O_CREAT | O_RDWR, 0600);
        EXPECT(pwrite(fd, "copied", 6, 100) == 6 && copy_file_range(fd, &(off_t){ 100 }, copy, NULL, 6, 0) == 6);
        EXPECT(!close(copy) && holds("h2", "copied"));
        int append = open("h2", O_WRONLY | O_APPEND);
        EXPECT(write(append, "+", 1) == 1 && !close(append) && holds("h2", "copied+"));
        EXPECT((append = open("h2", O_WRONLY | O_TRUNC)) >= 0 && !close(append) && !status("h2").st_size);
        EXPECT(!close(fd) && !unlink("h") && !unlink("h2"));
}

static void locks(void)
{
        put("k", "x", 0600);
        int a = open("k", O_RDWR), b = open("k", O_RDWR);
        struct flock whole = { .l_type = F_WRLCK }, asked = whole;
        EXPECT(!flock(a, LOCK_EX));
        FAILS_WITH(EWOULDBLOCK, flock(b, LOCK_EX | LOCK_NB));
        EXPECT(!flock(a, LOCK_UN) && !fcntl(a, F_SETLK, &whole));
        if (!fork())
                _exit(fcntl(b, F_GETLK, &asked) || asked.l_type != F_WRLCK);
        int result;
        EXPECT(wait(&result) > 0 && !result && !close(a) && !close(b) && !unlink("k"));
}

static void attributes(void)
{
        char value[64], list[256];
        put("x", "x", 0600);
        EXPECT(!setxattr("x", "user.colour", "green", 5, XATTR_CREATE));
        FAILS_WITH(EEXIST, setxattr("x", "user.colour", "red", 3, XATTR_CREATE));
        EXPECT(getxattr("x", "user.colour", value, sizeof(value)) == 5 && !memcmp(value, "green", 5));
        EXPECT(getxattr("x", "user.colour", NULL, 0) == 5 && listxattr("x", list, sizeof(list)) == 12);
        FAILS_WITH(ERANGE, getxattr("x", "user.colour", value, 2));
        EXPECT(!removexattr("x", "user.colour"));
        FAILS_WITH(ENODATA, getxattr("x", "user.colour", value, sizeof(value)));
        EXPECT(!unlink("x"));
}

static void calls(void)
{
        links_and_names();
        files_without_names();
        times_and_room();
        holes();
        locks();
        attributes();
        puts("calls as expected");
}

/* ---- users ---- */

/* VFS_CAP_REVISION_2 with CAP_NET_RAW: linux/capability.h. */
static const unsigned char capability[20] = { 1, 0, 0, 2, 0, 0x20 };

static void as_user(void)
{
        char value[64];
        int fd = open("mine", O_CREAT | O_RDWR, 0666);
        EXPECT(fd >= 0 && status("mine").st_uid == 1000 && status("mine").st_gid == 1000);
        EXPECT((status("mine").st_mode & 07777) == 0640 && !close(fd));
        EXPECT(!mkdir("my-folder", 0777) && status("my-folder").st_uid == 1000 && !symlink("x", "my-link"));
        EXPECT(status("my-link").st_uid == 1000 && !mkfifo("my-fifo", 0600) && status("my-fifo").st_uid == 1000);
        EXPECT(!chmod("mine", 0600));
        FAILS_WITH(EPERM, chmod("root's", 0777));
        FAILS_WITH(EACCES, open("root's", O_RDONLY));
        FAILS_WITH(EACCES, open("private/x", O_RDONLY));
        FAILS_WITH(EACCES, open("private/x", O_CREAT | O_WRONLY, 0600));
        FAILS_WITH(EPERM, unlink("root's")); /* the folder is sticky */
        FAILS_WITH(EPERM, chown("mine", 0, 0));
        FAILS_WITH(EPERM, mknod("device", S_IFCHR | 0600, makedev(1, 3)));
        /* By a supplementary group, which the server does not know of. */
        fd = open("group/new", O_CREAT | O_WRONLY, 0600);
        EXPECT(fd >= 0 && status("group/new").st_uid == 1000 && status("group/new").st_gid == 50 && !close(fd));
        EXPECT(!mkdir("group/below", 0755) && status("group/below").st_mode & S_ISGID);
        /* Writing takes what running the file would give. */
        fd = open("special", O_WRONLY);
        EXPECT(fd >= 0 && write(fd, "x", 1) == 1 && !close(fd) && (status("special").st_mode & 07777) == 0777);
        FAILS_WITH(ENODATA, getxattr("capable", "security.capability", value, sizeof(value)));
}

static void users(void)
{
        gid_t groups[] = { 50 };
        char value[64];
        int result;
        umask(0);
        EXPECT(!chmod(".", 01777));
        put("root's", "secret", 0600);
        put("special", "s", 0);
        put("capable", "s", 0777);
        EXPECT(!chmod("special", 06777) && (status("special").st_mode & 07777) == 06777);
        put("special", "root keeps the bits", 0);
        EXPECT((status("special").st_mode & 07777) == 06777);
        EXPECT(!setxattr("capable", "security.capability", capability, sizeof(capability), 0));
        EXPECT(getxattr("capable", "security.capability", value, sizeof(value)) == sizeof(capability));
        put("capable", "t", 0777);
        EXPECT(!mkdir("private", 0700) && !mkdir("group", 0770) && !chown("group", 0, 50) && !chmod("group", 02770));
        if (!fork()) {
                umask(026);
                EXPECT(!setgroups(1, groups) && !setgid(1000) && !setuid(1000));
                as_user();
                exit(0);
        }
        EXPECT(wait(&result) > 0);
        if (result)
                exit(1);
        EXPECT(!chown("mine", 1234, 4321) && status("mine").st_uid == 1234 && status("mine").st_gid == 4321);
        puts("users as expected");
}

/* ---- model ---- */

#define MODEL_MAX (512 << 10)

static unsigned long long random_state;

static unsigned random_below(unsigned limit)
{
        random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
        return (unsigned)(random_state >> 33) % limit;
}

struct model {
        int fd;
        off_t size;
        unsigned char bytes[MODEL_MAX], buffer[MODEL_MAX];
};

static void compare(struct model *model, off_t at, size_t length)
{
        EXPECT(pread(model->fd, model->buffer, length, at) == (ssize_t)length);
        for (size_t i = 0; i < length; i++)
                if (model->buffer[i] != model->bytes[at + (off_t)i]) {
                        printf("byte %lld is %d, not %d\n", (long long)at + (long long)i, model->buffer[i],
                               model->bytes[at + (off_t)i]);
                        exit(1);
                }
}

static void resize(struct model *model, off_t size)
{
        if (size > model->size)
                memset(model->bytes + model->size, 0, (size_t)(size - model->size));
        model->size = size;
}

static void step(struct model *model)
{
        off_t at = random_below(MODEL_MAX - 70000);
        size_t length = 1 + random_below(random_below(4) ? 5000 : 70000);
        switch (random_below(9)) {
        case 0:
        case 1:
        case 2:
                for (size_t i = 0; i < length; i++)
                        model->buffer[i] = (unsigned char)random_below(256);
                if (at > model->size)
                        resize(model, at);
                memcpy(model->bytes + at, model->buffer, length);
                model->size = at + (off_t)length > model->size ? at + (off_t)length : model->size;
                EXPECT(pwrite(model->fd, model->buffer, length, at) == (ssize_t)length);
                break;
        case 3:
                EXPECT(!ftruncate(model->fd, at));
                resize(model, at);
                break;
        case 4:
                EXPECT(!fallocate(model->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, at, (off_t)length));
                if (at < model->size)
                        memset(model->bytes + at, 0,
                               (size_t)(model->size - at) < length ? (size_t)(model->size - at) : length);
                break;
        case 5: EXPECT(!close(model->fd) && (model->fd = open("model", O_RDWR)) >= 0); break;
        case 6:
                if (model->size > 8192) {
                        off_t page = (off_t)random_below((unsigned)model->size / 4096) * 4096;
                        unsigned char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, model->fd, page);
                        EXPECT(map != MAP_FAILED && !memcmp(map, model->bytes + page, 4096));
                        map[length % 4096] = model->bytes[page + (off_t)(length % 4096)] = (unsigned char)length;
                        EXPECT(!munmap(map, 4096));
                }
                break;
        case 7:
                if (model->size > 20000) {
                        off_t from = 0, to = 10000;
                        ssize_t n = copy_file_range(model->fd, &from, model->fd, &to, 9000, 0);
                        EXPECT(n > 0);
                        memcpy(model->bytes + 10000, model->bytes, (size_t)n);
                }
                break;
        default:
                if (at < model->size)
                        compare(model, at, (size_t)(model->size - at) < length ? (size_t)(model->size - at) : length);
                break;
        }
        struct stat st;
        EXPECT(!fstat(model->fd, &st) && st.st_size == model->size);
}

static void run_model(unsigned seed, unsigned count)
{
        struct model *model = calloc(1, sizeof(*model));
        random_state = seed;
        model->fd = open("model", O_CREAT | O_RDWR | O_TRUNC, 0600);
        EXPECT(model->fd >= 0);
        for (unsigned i = 0; i < count; i++)
                step(model);
        compare(model, 0, (size_t)model->size);
        EXPECT(!close(model->fd) && (model->fd = open("model", O_RDONLY)) >= 0);
        compare(model, 0, (size_t)model->size);
        printf("%u operations as the model has it\n", count);
}

/* ---- many ---- */

static unsigned count_files(unsigned *sum)
{
        DIR *folder = opendir(".");
        unsigned count = 0;
        EXPECT(folder);
        *sum = 0;
        for (struct dirent *entry; (entry = readdir(folder));)
                if (entry->d_name[0] == 'n') {
                        count++;
                        *sum += (unsigned)atoi(entry->d_name + 1);
                }
        closedir(folder);
        return count;
}

static void make(unsigned count)
{
        char name[32];
        for (unsigned i = 0; i < count; i++) {
                snprintf(name, sizeof(name), "n%u", i);
                int fd = open(name, O_CREAT | O_WRONLY | O_EXCL, 0600);
                EXPECT(fd >= 0 && !close(fd));
        }
}

static void many(unsigned count)
{
        char name[32];
        unsigned sum, expected = 0;
        EXPECT(!mkdir("many", 0700) && !chdir("many"));
        for (unsigned i = 0; i < count; i++)
                expected += i;
        make(count);
        EXPECT(count_files(&sum) == count && sum == expected);
        /* Long forgotten ones are found again. */
        for (unsigned i = 0; i < count; i += 97) {
                snprintf(name, sizeof(name), "n%u", i);
                EXPECT(!chmod(name, 0640) && (status(name).st_mode & 0777) == 0640);
        }
        for (unsigned i = 0; i < count; i += 2) {
                snprintf(name, sizeof(name), "n%u", i);
                EXPECT(!unlink(name));
        }
        EXPECT(count_files(&sum) == count / 2 && !chdir(".."));
        printf("%u files\n", count);
}

/* ---- race ---- */

static void racer(unsigned number, unsigned count)
{
        char own[16], text[16];
        snprintf(own, sizeof(own), "own%u", number);
        random_state = number;
        for (unsigned i = 0; i < count; i++) {
                int fd = -1;
                switch (random_below(5)) {
                case 0: EXPECT(!rename("first", "second") || errno == ENOENT); break;
                case 1: EXPECT(!rename("second", "first") || errno == ENOENT); break;
                case 2:
                        put(own, "whole", 0600);
                        EXPECT(!rename(own, "first"));
                        break;
                case 3:
                        fd = open("first", O_RDONLY);
                        EXPECT(fd >= 0 || errno == ENOENT);
                        EXPECT(fd < 0 || (read(fd, text, sizeof(text)) == 5 && !memcmp(text, "whole", 5)));
                        break;
                default:
                        EXPECT(!rename("folder/a", "folder/b") || errno == ENOENT);
                        EXPECT(!rename("folder/b", "folder/a") || errno == ENOENT);
                        EXPECT(!mkdir("folder/c", 0700) || errno == EEXIST);
                        EXPECT(!rmdir("folder/c") || errno == ENOENT);
                        break;
                }
                if (fd >= 0)
                        close(fd);
        }
}

static void race(unsigned count)
{
        int result, bad = 0;
        put("first", "whole", 0600);
        EXPECT(!mkdir("folder", 0700));
        put("folder/a", "whole", 0600);
        for (unsigned i = 0; i < 4; i++)
                if (!fork()) {
                        racer(i, count);
                        exit(0);
                }
        while (wait(&result) > 0)
                bad |= result;
        if (bad)
                exit(1);
        EXPECT(holds("folder/a", "whole") || holds("folder/b", "whole"));
        puts("a race without a loser");
}

int main(int argc, char **argv)
{
        if (argc < 3 || chdir(argv[2]) < 0)
                return 2;
        if (!strcmp(argv[1], "calls"))
                calls();
        else if (!strcmp(argv[1], "users"))
                users();
        else if (!strcmp(argv[1], "model") && argc == 5)
                run_model((unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
        else if (!strcmp(argv[1], "many") && argc == 4)
                many((unsigned)atoi(argv[3]));
        else if (!strcmp(argv[1], "make") && argc == 4)
                make((unsigned)atoi(argv[3]));
        else if (!strcmp(argv[1], "race") && argc == 4)
                race((unsigned)atoi(argv[3]));
        else
                return 2;
        return 0;
}
