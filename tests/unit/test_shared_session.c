/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "hosted/shared_session_private.h"

/* A session on a folder of its own, and a guest's client that talks to it. */
static struct {
        char path[64];
        struct shared_session *session;
        struct shared_worker *worker;
        unsigned char request[4096], answer[SHARED_DATA_MAX + 4096];
        size_t length;
        uint32_t uid, gid;
        uint32_t written; /* what the session said it wrote */
} client;

static void in_folder(char *path, size_t size, const char *name)
{
        snprintf(path, size, "%s/%s", client.path, name);
}

static void open_client(bool read_only, unsigned descriptors)
{
        const struct shared_session_settings settings = { .read_only = read_only, .descriptors = descriptors };
        assert_int_equal(shared_session_open(open(client.path, O_PATH | O_DIRECTORY | O_CLOEXEC), &settings,
                                             &client.session),
                         0);
        assert_int_equal(chdir("/proc/self/fd"), 0);
        assert_int_equal(shared_worker_open(client.session, &client.worker), 0);
        client.uid = geteuid();
        client.gid = getegid();
}

static void close_client(void)
{
        shared_worker_close(client.worker);
        shared_session_close(client.session);
}

static int setup(void **state)
{
        (void)state;
        strcpy(client.path, "/tmp/onggi-session-XXXXXX");
        assert_non_null(mkdtemp(client.path));
        prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
        open_client(false, 64);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        close_client();
        umask(022);
        assert_int_equal(chdir("/"), 0);
        assert_int_equal(tree_remove(AT_FDCWD, client.path, NULL), 0);
        return 0;
}

/* ---- Requests ---- */

static void begin(uint32_t opcode, uint64_t node)
{
        const struct fuse_in_header in = {
                .opcode = opcode, .unique = 77, .nodeid = node, .uid = client.uid, .gid = client.gid
        };
        memcpy(client.request, &in, sizeof(in));
        client.length = sizeof(in);
}

static void add(const void *bytes, size_t length)
{
        memcpy(client.request + client.length, bytes, length);
        client.length += length;
}

static void add_string(const char *string)
{
        add(string, strlen(string) + 1);
}

/* Sends it in buffers cut at `cut`; returns the error, or how many bytes the answer has. */
static int send_cut(size_t cut, size_t room)
{
        struct virtqueue_chain chain = { .readable = 1, .writable = 1 };
        struct fuse_out_header out;
        size_t first = cut && cut < client.length ? cut : client.length;
        chain.parts[0] = (struct virtqueue_part){ client.request, (uint32_t)first, { 0 } };
        if (first < client.length)
                chain.parts[chain.readable++] =
                        (struct virtqueue_part){ client.request + first, (uint32_t)(client.length - first), { 0 } };
        size_t piece = cut && cut < room ? cut : room;
        chain.parts[chain.readable] = (struct virtqueue_part){ client.answer, (uint32_t)piece, { 0 } };
        if (piece < room) {
                chain.writable++;
                chain.parts[chain.readable + 1] =
                        (struct virtqueue_part){ client.answer + piece, (uint32_t)(room - piece), { 0 } };
        }
        client.written = shared_worker_answer(client.worker, &chain);
        if (!client.written)
                return 0;
        memcpy(&out, client.answer, sizeof(out));
        assert_true(out.unique == 77 && out.len == client.written && out.len <= room);
        return out.error ? out.error : (int)(out.len - sizeof(out));
}

static int send_request(void)
{
        return send_cut(0, 8192);
}

static const void *answer(void)
{
        return client.answer + sizeof(struct fuse_out_header);
}

static int look_up(uint64_t parent, const char *name, uint64_t *node)
{
        begin(FUSE_LOOKUP, parent);
        add_string(name);
        int r = send_request();
        if (r < 0)
                return r;
        *node = ((const struct fuse_entry_out *)answer())->nodeid;
        return 0;
}

static int make(uint64_t parent, const char *name, uint32_t mode, uint64_t *node, uint64_t *file)
{
        const struct fuse_create_in in = { .flags = O_RDWR, .mode = S_IFREG | mode };
        begin(FUSE_CREATE, parent);
        add(&in, sizeof(in));
        add_string(name);
        int r = send_request();
        if (r < 0)
                return r;
        *node = ((const struct fuse_entry_out *)answer())->nodeid;
        *file = ((const struct fuse_open_out *)(const void *)((const char *)answer() + sizeof(struct fuse_entry_out)))
                        ->fh;
        return 0;
}

static int open_file(uint64_t node, uint32_t flags, uint32_t opcode, uint64_t *file)
{
        const struct fuse_open_in in = { .flags = flags };
        begin(opcode, node);
        add(&in, sizeof(in));
        int r = send_request();
        if (r >= 0)
                *file = ((const struct fuse_open_out *)answer())->fh;
        return r < 0 ? r : 0;
}

static int write_file(uint64_t file, uint64_t offset, const char *text, uint32_t flags)
{
        const struct fuse_write_in in = {
                .fh = file, .offset = offset, .size = (uint32_t)strlen(text), .write_flags = flags
        };
        begin(FUSE_WRITE, FUSE_ROOT_ID);
        add(&in, sizeof(in));
        add(text, strlen(text));
        int r = send_request();
        return r < 0 ? r : (int)((const struct fuse_write_out *)answer())->size;
}

static int read_file(uint64_t file, uint64_t offset, uint32_t size, size_t cut)
{
        const struct fuse_read_in in = { .fh = file, .offset = offset, .size = size };
        begin(FUSE_READ, FUSE_ROOT_ID);
        add(&in, sizeof(in));
        return send_cut(cut, sizeof(struct fuse_out_header) + size);
}

static int get_mode(uint64_t node, uint32_t *mode)
{
        const struct fuse_getattr_in in = { 0 };
        begin(FUSE_GETATTR, node);
        add(&in, sizeof(in));
        int r = send_request();
        if (r >= 0)
                *mode = ((const struct fuse_attr_out *)answer())->attr.mode;
        return r < 0 ? r : 0;
}

static void host_file(const char *name, const char *text)
{
        char path[256];
        in_folder(path, sizeof(path), name);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(text, file);
        fclose(file);
}

/* ---- Tests ---- */

static void test_init_agrees_on_a_version_and_refuses_one_too_old(void **state)
{
        struct fuse_init_in in = { .major = 7, .minor = 38, .flags = UINT32_MAX };
        (void)state;
        begin(FUSE_INIT, 0);
        add(&in, sizeof(in));
        assert_int_equal(send_request(), sizeof(struct fuse_init_out));
        const struct fuse_init_out *out = answer();
        assert_true(out->major == 7 && out->max_write == SHARED_DATA_MAX && !(out->flags & FUSE_POSIX_LOCKS));
        in.major = 8;
        begin(FUSE_INIT, 0);
        add(&in, sizeof(in));
        assert_true(send_request() > 0);
        in.major = 7;
        in.minor = 8;
        begin(FUSE_INIT, 0);
        add(&in, sizeof(in));
        assert_int_equal(send_request(), -EPROTO);
}

static void test_what_is_written_is_read_whatever_the_buffers(void **state)
{
        uint64_t node = 0, file = 0;
        (void)state;
        assert_int_equal(make(FUSE_ROOT_ID, "file", 0600, &node, &file), 0);
        assert_int_equal(write_file(file, 3, "hello", 0), 5);
        for (size_t cut = 0; cut < 24; cut++) {
                memset(client.answer, 'x', 64);
                assert_int_equal(read_file(file, 0, 100, cut), 8);
                assert_memory_equal(answer(), "\0\0\0hello", 8);
                assert_int_equal(client.answer[sizeof(struct fuse_out_header) + 8], 'x');
        }
        assert_int_equal(read_file(file, 4, 2, 0), 2);
        assert_memory_equal(answer(), "el", 2);
        assert_int_equal(read_file(file, 100, 10, 0), 0);
        assert_int_equal(read_file(file + 1, 0, 10, 0), -EBADF);
}

static void test_no_name_is_a_path(void **state)
{
        static const char *const names[] = { "", ".", "..", "/", "a/b", "../x", "/etc/passwd" };
        const struct fuse_mkdir_in in = { .mode = 0700 };
        uint64_t node;
        (void)state;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                assert_int_equal(look_up(FUSE_ROOT_ID, names[i], &node), -EINVAL);
                begin(FUSE_MKDIR, FUSE_ROOT_ID);
                add(&in, sizeof(in));
                add_string(names[i]);
                assert_int_equal(send_request(), -EINVAL);
                begin(FUSE_UNLINK, FUSE_ROOT_ID);
                add_string(names[i]);
                assert_int_equal(send_request(), -EINVAL);
        }
        begin(FUSE_LOOKUP, FUSE_ROOT_ID);
        add("endless", 7);
        assert_int_equal(send_request(), -EINVAL);
}

static void test_no_link_is_followed(void **state)
{
        const struct fuse_setattr_in size = { .valid = FATTR_SIZE, .size = 0 };
        char path[256];
        uint64_t node = 0, below = 0, file = 0;
        (void)state;
        in_folder(path, sizeof(path), "out");
        assert_int_equal(symlink("/etc", path), 0);
        in_folder(path, sizeof(path), "file");
        assert_int_equal(symlink("/etc/passwd", path), 0);
        assert_int_equal(look_up(FUSE_ROOT_ID, "out", &node), 0);
        assert_int_equal(look_up(node, "passwd", &below), -ENOTDIR);
        assert_int_equal(open_file(node, O_RDONLY, FUSE_OPENDIR, &file), -ENOTDIR);
        assert_int_equal(look_up(FUSE_ROOT_ID, "file", &node), 0);
        assert_int_equal(open_file(node, O_RDONLY, FUSE_OPEN, &file), -ELOOP);
        assert_int_equal(make(FUSE_ROOT_ID, "file", 0600, &node, &file), -ELOOP);
        begin(FUSE_SETATTR, node);
        add(&size, sizeof(size));
        assert_true(send_request() < 0);
        begin(FUSE_READLINK, node);
        assert_int_equal(send_request(), strlen("/etc/passwd"));
}

static void test_devices_and_fifos_are_never_opened_here(void **state)
{
        const struct fuse_mknod_in fifo = { .mode = S_IFIFO | 0666 },
                                   device = { .mode = S_IFCHR | 0666, .rdev = 0x103 };
        uint64_t node = 0, file = 0;
        (void)state;
        begin(FUSE_MKNOD, FUSE_ROOT_ID);
        add(&fifo, sizeof(fifo));
        add_string("fifo");
        assert_true(send_request() > 0);
        assert_int_equal(look_up(FUSE_ROOT_ID, "fifo", &node), 0);
        assert_int_equal(open_file(node, O_WRONLY, FUSE_OPEN, &file), -ENXIO);
        assert_int_equal(make(FUSE_ROOT_ID, "fifo", 0600, &node, &file), -ENXIO);
        begin(FUSE_MKNOD, FUSE_ROOT_ID);
        add(&device, sizeof(device));
        add_string("device");
        if (send_request() == -EPERM)
                return; /* we are no root */
        assert_int_equal(((const struct fuse_entry_out *)answer())->attr.rdev, 0x103);
        assert_int_equal(look_up(FUSE_ROOT_ID, "device", &node), 0);
        assert_int_equal(open_file(node, O_RDWR, FUSE_OPEN, &file), -ENXIO);
}

static void test_a_read_only_folder_stays_as_it_is(void **state)
{
        const struct fuse_setattr_in mode = { .valid = FATTR_MODE, .mode = 0777 };
        uint64_t node = 0, file = 0;
        (void)state;
        host_file("file", "text");
        close_client();
        open_client(true, 64);
        assert_int_equal(look_up(FUSE_ROOT_ID, "file", &node), 0);
        assert_int_equal(open_file(node, O_RDWR, FUSE_OPEN, &file), -EROFS);
        assert_int_equal(open_file(node, O_RDONLY | O_TRUNC, FUSE_OPEN, &file), -EROFS);
        assert_int_equal(make(FUSE_ROOT_ID, "new", 0600, &node, &file), -EROFS);
        begin(FUSE_SETATTR, node);
        add(&mode, sizeof(mode));
        assert_int_equal(send_request(), -EROFS);
        assert_int_equal(open_file(node, O_RDONLY, FUSE_OPEN, &file), 0);
        assert_int_equal(write_file(file, 0, "x", 0), -EROFS);
        assert_int_equal(read_file(file, 0, 10, 0), 4);
}

static void test_more_files_than_descriptors_are_all_found_again(void **state)
{
        uint64_t folder = 0, nodes[200], file = 0;
        char name[16], path[256];
        uint32_t mode;
        (void)state;
        in_folder(path, sizeof(path), "folder");
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(look_up(FUSE_ROOT_ID, "folder", &folder), 0);
        for (int i = 0; i < 200; i++) {
                snprintf(name, sizeof(name), "folder/%d", i);
                host_file(name, name);
                assert_int_equal(look_up(folder, name + strlen("folder/"), &nodes[i]), 0);
        }
        for (int i = 0; i < 200; i++) {
                assert_int_equal(get_mode(nodes[i], &mode), 0);
                assert_int_equal(open_file(nodes[i], O_RDONLY, FUSE_OPEN, &file), 0);
                assert_true(read_file(file, 0, 64, 0) > 0);
                const struct fuse_release_in in = { .fh = file };
                begin(FUSE_RELEASE, nodes[i]);
                add(&in, sizeof(in));
                assert_int_equal(send_request(), 0);
        }
        /* One whose name leads to another file now is not mistaken for it. */
        in_folder(path, sizeof(path), "folder/0");
        assert_int_equal(unlink(path), 0);
        host_file("other", "other");
        char other[256];
        in_folder(other, sizeof(other), "other");
        assert_int_equal(rename(other, path), 0);
        assert_int_equal(get_mode(nodes[0], &mode), -ESTALE);
        const struct fuse_forget_in forget = { .nlookup = 99 };
        begin(FUSE_FORGET, nodes[1]);
        add(&forget, sizeof(forget));
        assert_int_equal(send_cut(0, 0), 0);
        assert_int_equal(get_mode(nodes[1], &mode), -ESTALE);
}

static void test_a_file_without_a_name_stays_while_the_guest_knows_it(void **state)
{
        uint64_t node = 0, file = 0, others[100];
        char name[16];
        uint32_t mode;
        (void)state;
        assert_int_equal(make(FUSE_ROOT_ID, "gone", 0640, &node, &file), 0);
        begin(FUSE_UNLINK, FUSE_ROOT_ID);
        add_string("gone");
        assert_int_equal(send_request(), 0);
        for (int i = 0; i < 100; i++) {
                snprintf(name, sizeof(name), "%d", i);
                host_file(name, name);
                assert_int_equal(look_up(FUSE_ROOT_ID, name, &others[i]), 0);
        }
        assert_int_equal(get_mode(node, &mode), 0);
        assert_int_equal(mode, S_IFREG | 0640);
}

static void test_more_open_files_than_descriptors_are_refused_and_none_is_lost(void **state)
{
        uint64_t node = 0, files[40], more;
        int opened = 0;
        (void)state;
        host_file("file", "text");
        assert_int_equal(look_up(FUSE_ROOT_ID, "file", &node), 0);
        while (opened < 40 && !open_file(node, O_RDONLY, FUSE_OPEN, &files[opened]))
                opened++;
        assert_int_equal(opened, 32);
        assert_int_equal(open_file(node, O_RDONLY, FUSE_OPEN, &more), -ENFILE);
        assert_int_equal(read_file(files[31], 0, 10, 0), 4);
        shared_session_reset(client.session);
        assert_int_equal(read_file(files[31], 0, 10, 0), -EBADF);
}

static void test_moved_files_are_found_at_their_new_place(void **state)
{
        const struct fuse_mkdir_in folder_in = { .mode = 0700 };
        struct fuse_rename2_in in = { 0 };
        uint64_t node = 0, file = 0, folder = 0;
        uint32_t mode;
        char path[256];
        (void)state;
        begin(FUSE_MKDIR, FUSE_ROOT_ID);
        add(&folder_in, sizeof(folder_in));
        add_string("folder");
        assert_true(send_request() > 0);
        assert_int_equal(look_up(FUSE_ROOT_ID, "folder", &folder), 0);
        assert_int_equal(make(FUSE_ROOT_ID, "file", 0600, &node, &file), 0);
        in.newdir = folder;
        begin(FUSE_RENAME2, FUSE_ROOT_ID);
        add(&in, sizeof(in));
        add_string("file");
        add_string("moved");
        assert_int_equal(send_request(), 0);
        in.newdir = 12345;
        begin(FUSE_RENAME2, folder);
        add(&in, sizeof(in));
        add_string("moved");
        add_string("again");
        assert_int_equal(send_request(), -ESTALE);
        for (int i = 0; i < 100; i++) {
                uint64_t other;
                snprintf(path, sizeof(path), "%d", i);
                host_file(path, path);
                assert_int_equal(look_up(FUSE_ROOT_ID, path, &other), 0);
        }
        assert_int_equal(get_mode(node, &mode), 0);
}

static void test_files_belong_to_who_makes_them(void **state)
{
        uint64_t node = 0, file = 0;
        char path[256];
        struct stat st;
        (void)state;
        if (geteuid())
                skip();
        client.uid = 1234;
        client.gid = 4321;
        assert_int_equal(make(FUSE_ROOT_ID, "mine", 06755, &node, &file), 0);
        in_folder(path, sizeof(path), "mine");
        assert_int_equal(stat(path, &st), 0);
        assert_true(st.st_uid == 1234 && st.st_gid == 4321);
        client.uid = client.gid = 0;
        assert_int_equal(make(FUSE_ROOT_ID, "root's", 0600, &node, &file), 0);
        in_folder(path, sizeof(path), "root's");
        assert_int_equal(stat(path, &st), 0);
        assert_true(!st.st_uid && !st.st_gid);
}

static void test_writes_take_set_user_id_bits_where_the_guest_says_so(void **state)
{
        const struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = 06777 };
        uint64_t node = 0, file = 0;
        uint32_t mode;
        (void)state;
        if (geteuid())
                skip();
        assert_int_equal(make(FUSE_ROOT_ID, "file", 0777, &node, &file), 0);
        begin(FUSE_SETATTR, node);
        add(&in, sizeof(in));
        assert_true(send_request() > 0);
        assert_int_equal(write_file(file, 0, "x", 0), 1);
        assert_int_equal(get_mode(node, &mode), 0);
        assert_int_equal(mode & 07777, 06777);
        assert_int_equal(write_file(file, 0, "x", FUSE_WRITE_KILL_SUIDGID), 1);
        assert_int_equal(get_mode(node, &mode), 0);
        assert_int_equal(mode & 07000, 0);
}

static void test_extended_attributes_of_the_host_are_not_the_guests(void **state)
{
        static const char *const names[] = { "trusted.overlay.opaque", "security.selinux", "system.posix_acl_access" };
        const struct fuse_setxattr_in in = { .size = 1 };
        const struct fuse_getxattr_in get = { .size = 100 };
        (void)state;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                begin(FUSE_SETXATTR, FUSE_ROOT_ID);
                add(&in, sizeof(in));
                add_string(names[i]);
                add("y", 1);
                assert_int_equal(send_request(), -EOPNOTSUPP);
                begin(FUSE_GETXATTR, FUSE_ROOT_ID);
                add(&get, sizeof(get));
                add_string(names[i]);
                assert_int_equal(send_request(), -EOPNOTSUPP);
        }
}

static void test_a_folder_is_read_whole_in_small_pieces(void **state)
{
        struct fuse_read_in in = { .size = 256 };
        char name[16];
        unsigned seen = 0;
        (void)state;
        for (int i = 0; i < 300; i++) {
                snprintf(name, sizeof(name), "%d", i);
                host_file(name, name);
        }
        assert_int_equal(open_file(FUSE_ROOT_ID, O_RDONLY, FUSE_OPENDIR, &in.fh), 0);
        for (;;) {
                begin(FUSE_READDIR, FUSE_ROOT_ID);
                add(&in, sizeof(in));
                int length = send_request();
                assert_true(length >= 0 && length <= 256);
                if (!length)
                        break;
                for (int at = 0; at < length; seen++) {
                        const struct fuse_dirent *entry = (const void *)((const char *)answer() + at);
                        in.offset = entry->off;
                        at += (int)FUSE_DIRENT_SIZE(entry);
                }
        }
        assert_int_equal(seen, 302);
}

/* With what a lookup would say of each, far more files than there are descriptors, and all given back at the end. */
static void test_a_folder_of_50000_files_is_read_with_few_descriptors(void **state)
{
        struct fuse_read_in in = { .size = 65536 };
        static uint64_t nodes[50000];
        char path[256];
        unsigned seen = 0;
        uint32_t mode = 0;
        (void)state;
        for (int i = 0; i < 50000; i++) {
                snprintf(path, sizeof(path), "%s/%d", client.path, i);
                assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
        }
        assert_int_equal(open_file(FUSE_ROOT_ID, O_RDONLY, FUSE_OPENDIR, &in.fh), 0);
        for (;;) {
                begin(FUSE_READDIRPLUS, FUSE_ROOT_ID);
                add(&in, sizeof(in));
                int length = send_cut(0, sizeof(struct fuse_out_header) + in.size);
                assert_true(length >= 0);
                if (!length)
                        break;
                for (int at = 0; at < length;) {
                        const struct fuse_direntplus *entry = (const void *)((const char *)answer() + at);
                        in.offset = entry->dirent.off;
                        if (entry->entry_out.nodeid)
                                nodes[seen++] = entry->entry_out.nodeid;
                        at += (int)FUSE_DIRENTPLUS_SIZE(entry);
                }
        }
        assert_int_equal(seen, 50000);
        for (unsigned i = 0; i < seen; i += 499)
                assert_int_equal(get_mode(nodes[i], &mode), 0);
        assert_int_equal(mode, S_IFREG | 0600);
        const struct fuse_forget_in forget = { .nlookup = 1 };
        for (unsigned i = 0; i < seen; i++) {
                begin(FUSE_FORGET, nodes[i]);
                add(&forget, sizeof(forget));
                send_cut(0, 0);
        }
        assert_int_equal(get_mode(nodes[0], &mode), -ESTALE);
}

static void test_requests_that_are_cut_off_are_answered_by_an_error(void **state)
{
        uint64_t node = 0, file = 0;
        (void)state;
        assert_int_equal(make(FUSE_ROOT_ID, "file", 0600, &node, &file), 0);
        for (uint32_t opcode = 0; opcode < 60; opcode++)
                for (size_t length = 0; length < 48; length += 4) {
                        begin(opcode, node);
                        memset(client.request + client.length, 0xff, length);
                        client.length += length;
                        (void)send_request();
                        (void)send_cut(20, 24);
                        begin(opcode, UINT64_MAX);
                        (void)send_request();
                }
        client.length = 10;
        assert_int_equal(send_request(), 0);
        begin(FUSE_GETATTR, FUSE_ROOT_ID);
        assert_int_equal(send_cut(0, 8), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_init_agrees_on_a_version_and_refuses_one_too_old),
                TEST(test_what_is_written_is_read_whatever_the_buffers),
                TEST(test_no_name_is_a_path),
                TEST(test_no_link_is_followed),
                TEST(test_devices_and_fifos_are_never_opened_here),
                TEST(test_a_read_only_folder_stays_as_it_is),
                TEST(test_more_files_than_descriptors_are_all_found_again),
                TEST(test_a_file_without_a_name_stays_while_the_guest_knows_it),
                TEST(test_more_open_files_than_descriptors_are_refused_and_none_is_lost),
                TEST(test_moved_files_are_found_at_their_new_place),
                TEST(test_files_belong_to_who_makes_them),
                TEST(test_writes_take_set_user_id_bits_where_the_guest_says_so),
                TEST(test_extended_attributes_of_the_host_are_not_the_guests),
                TEST(test_a_folder_is_read_whole_in_small_pieces),
                TEST(test_a_folder_of_50000_files_is_read_with_few_descriptors),
                TEST(test_requests_that_are_cut_off_are_answered_by_an_error),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
