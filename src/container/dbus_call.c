/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/dbus_call.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"

#define TIMEOUT_SECONDS 30
/* The specification allows 128 MiB; what systemd answers to us is a few hundred bytes. */
#define MESSAGE_MAX  (1024 * 1024)
#define FIXED_HEADER 16

enum { TYPE_CALL = 1, TYPE_RETURN = 2, TYPE_ERROR = 3, TYPE_SIGNAL = 4 };
enum {
        FIELD_PATH = 1,
        FIELD_INTERFACE = 2,
        FIELD_MEMBER = 3,
        FIELD_ERROR = 4,
        FIELD_REPLY = 5,
        FIELD_DESTINATION = 6,
        FIELD_SIGNATURE = 8
};

/* Results of jobs that ended before anyone asked; a scope's start is the only job of a connection. */
#define JOBS_MAX 8

struct dbus {
        int fd;
        uint32_t serial;
        struct {
                char *path, *result;
        } jobs[JOBS_MAX];
        size_t job_count;
};

/* ---- writing ---- */

static void pad(struct text *bytes, size_t alignment)
{
        static const char zeros[8] = { 0 };
        text_append_bytes(bytes, zeros, -bytes->length & (alignment - 1));
}

static void append_u32(struct text *bytes, uint32_t value)
{
        value = htole32(value);
        pad(bytes, 4);
        text_append_bytes(bytes, &value, sizeof(value));
}

static void append_string(struct text *bytes, const char *value)
{
        append_u32(bytes, (uint32_t)strlen(value));
        text_append_bytes(bytes, value, strlen(value) + 1);
}

static void append_signature(struct text *bytes, const char *value)
{
        uint8_t length = (uint8_t)strlen(value);
        text_append_bytes(bytes, &length, 1);
        text_append_bytes(bytes, value, length + 1u);
}

static void patch_u32(struct text *bytes, size_t at, uint32_t value)
{
        value = htole32(value);
        if (!text_failed(bytes))
                memcpy(bytes->data + at, &value, sizeof(value));
}

void dbus_put_u32(struct dbus_arguments *arguments, uint32_t value)
{
        append_u32(&arguments->bytes, value);
}

void dbus_put_u64(struct dbus_arguments *arguments, uint64_t value)
{
        value = htole64(value);
        pad(&arguments->bytes, 8);
        text_append_bytes(&arguments->bytes, &value, sizeof(value));
}

void dbus_put_string(struct dbus_arguments *arguments, const char *value)
{
        append_string(&arguments->bytes, value);
}

void dbus_put_signature(struct dbus_arguments *arguments, const char *value)
{
        append_signature(&arguments->bytes, value);
}

void dbus_put_struct(struct dbus_arguments *arguments)
{
        pad(&arguments->bytes, 8);
}

size_t dbus_begin_array(struct dbus_arguments *arguments, size_t alignment)
{
        append_u32(&arguments->bytes, 0);
        size_t begun = arguments->bytes.length;
        pad(&arguments->bytes, alignment);
        return begun;
}

/* An array's length counts its elements, but not what aligns the first. */
void dbus_end_array(struct dbus_arguments *arguments, size_t begun, size_t alignment)
{
        size_t first = (begun + alignment - 1) & ~(alignment - 1);
        patch_u32(&arguments->bytes, begun - 4, (uint32_t)(arguments->bytes.length - first));
}

static void append_field(struct text *header, uint8_t code, const char *signature, const char *value)
{
        if (!value || !*value)
                return;
        pad(header, 8);
        text_append_bytes(header, &code, 1);
        append_signature(header, signature);
        if (*signature == 'g')
                append_signature(header, value);
        else
                append_string(header, value);
}

/* write(2) would end us by SIGPIPE where the other end has gone. */
static int send_bytes(struct dbus *bus, const char *bytes, size_t length)
{
        while (length) {
                ssize_t n = send(bus->fd, bytes, length, MSG_NOSIGNAL);
                if (n < 0 && errno != EINTR)
                        return -errno;
                bytes += n > 0 ? n : 0;
                length -= n > 0 ? (size_t)n : 0;
        }
        return 0;
}

static int send_call(struct dbus *bus, const struct dbus_method *method, const struct dbus_arguments *arguments,
                     struct error *err)
{
        _cleanup_text_ struct text message = { 0 };
        static const uint8_t start[] = { 'l', TYPE_CALL, 0, 1 };
        text_append_bytes(&message, start, sizeof(start));
        append_u32(&message, (uint32_t)arguments->bytes.length);
        append_u32(&message, ++bus->serial);
        append_u32(&message, 0);
        append_field(&message, FIELD_PATH, "o", method->path);
        append_field(&message, FIELD_DESTINATION, "s", method->destination);
        append_field(&message, FIELD_INTERFACE, "s", method->interface);
        append_field(&message, FIELD_MEMBER, "s", method->member);
        append_field(&message, FIELD_SIGNATURE, "g", arguments->signature);
        patch_u32(&message, FIXED_HEADER - 4, (uint32_t)(message.length - FIXED_HEADER));
        pad(&message, 8);
        text_append_bytes(&message, arguments->bytes.data, arguments->bytes.length);
        if (text_failed(&message) || text_failed(&arguments->bytes))
                return error_memory(err);
        int r = send_bytes(bus, message.data, message.length);
        return r < 0 ? error_code(err, r, "cannot call %s", method->member) : 0;
}

/* ---- reading ---- */

/* A cursor over received bytes; what would lead beyond the end marks it as failed. */
struct cursor {
        const char *data;
        size_t at, end;
        bool failed;
};

static const char *take(struct cursor *cursor, size_t alignment, size_t length)
{
        size_t at = (cursor->at + alignment - 1) & ~(alignment - 1);
        if (cursor->failed || at > cursor->end || length > cursor->end - at) {
                cursor->failed = true;
                return NULL;
        }
        cursor->at = at + length;
        return cursor->data + at;
}

static uint32_t take_u32(struct cursor *cursor)
{
        uint32_t value = 0;
        const char *bytes = take(cursor, 4, sizeof(value));
        if (bytes)
                memcpy(&value, bytes, sizeof(value));
        return le32toh(value);
}

static const char *take_text(struct cursor *cursor, size_t length)
{
        const char *text = length < MESSAGE_MAX ? take(cursor, 1, length + 1) : NULL;
        if (!text || text[length] || strlen(text) != length)
                cursor->failed = true;
        return cursor->failed ? NULL : text;
}

static const char *take_string(struct cursor *cursor)
{
        return take_text(cursor, take_u32(cursor));
}

static const char *take_signature(struct cursor *cursor)
{
        const char *length = take(cursor, 1, 1);
        return length ? take_text(cursor, (uint8_t)*length) : NULL;
}

struct message {
        char *bytes;
        uint8_t type;
        uint32_t reply_to;
        const char *member, *error, *signature; /* NULL where absent */
        struct cursor body;
};

static int read_bytes(struct dbus *bus, char *to, size_t length)
{
        for (size_t got = 0; got < length;) {
                ssize_t n = read(bus->fd, to + got, length - got);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? (errno == EAGAIN ? -ETIMEDOUT : -errno) : -ECONNRESET;
                got += (size_t)n;
        }
        return 0;
}

static void parse_fields(struct cursor *header, struct message *message)
{
        while (!header->failed && header->at < header->end) {
                const char *code = take(header, 8, 1), *signature = take_signature(header);
                if (header->failed)
                        return;
                const char *text = NULL;
                uint32_t number = 0;
                if (!strcmp(signature, "s") || !strcmp(signature, "o"))
                        text = take_string(header);
                else if (!strcmp(signature, "g"))
                        text = take_signature(header);
                else if (!strcmp(signature, "u"))
                        number = take_u32(header);
                else
                        header->failed = true;
                switch (*code) {
                case FIELD_MEMBER: message->member = text; break;
                case FIELD_ERROR: message->error = text; break;
                case FIELD_SIGNATURE: message->signature = text; break;
                case FIELD_REPLY: message->reply_to = number; break;
                default: break;
                }
        }
}

static int receive(struct dbus *bus, struct message *message)
{
        char fixed[FIXED_HEADER];
        uint32_t sizes[3];
        int r = read_bytes(bus, fixed, sizeof(fixed));
        if (r < 0)
                return r;
        memcpy(sizes, fixed + 4, sizeof(sizes));
        size_t body = le32toh(sizes[0]), fields = le32toh(sizes[2]), padding = -fields & 7;
        if (fixed[0] != 'l' || fixed[3] != 1 || body > MESSAGE_MAX || fields > MESSAGE_MAX)
                return -EPROTO;

        /* Alignment counts from the start of the message, and the fixed part is a multiple of 8. */
        *message = (struct message){ .type = (uint8_t)fixed[1], .bytes = malloc(fields + padding + body + 1) };
        if (!message->bytes)
                return -ENOMEM;
        r = read_bytes(bus, message->bytes, fields + padding + body);
        struct cursor header = { .data = message->bytes, .end = fields };
        if (!r)
                parse_fields(&header, message);
        message->body = (struct cursor){ .data = message->bytes + fields + padding, .end = body };
        if (r < 0 || header.failed) {
                free(TAKE_PTR(message->bytes));
                return r < 0 ? r : -EPROTO;
        }
        return 0;
}

/* JobRemoved(u id, o job, s unit, s result) of org.freedesktop.systemd1.Manager */
static int keep_job(struct dbus *bus, struct message *message)
{
        if (message->type != TYPE_SIGNAL || !text_equal(message->member, "JobRemoved") ||
            !text_equal(message->signature, "uoss"))
                return 0;
        take_u32(&message->body);
        const char *job = take_string(&message->body);
        take_string(&message->body);
        const char *result = take_string(&message->body);
        if (message->body.failed)
                return -EPROTO;
        size_t i = bus->job_count % JOBS_MAX;
        free(bus->jobs[i].path);
        free(bus->jobs[i].result);
        bus->jobs[i].path = strdup(job);
        bus->jobs[i].result = strdup(result);
        bus->job_count++;
        return bus->jobs[i].path && bus->jobs[i].result ? 0 : -ENOMEM;
}

static int take_reply(struct message *reply, const char *member, char **text, struct error *err)
{
        bool worded = reply->signature && (*reply->signature == 's' || *reply->signature == 'o');
        const char *words = worded ? take_string(&reply->body) : NULL;
        if (reply->type == TYPE_ERROR)
                return error_set(err, -EREMOTEIO, "%s",
                                 words          ? words
                                 : reply->error ? reply->error
                                                : "an error without a name");
        if (!text)
                return 0;
        if (!words)
                return error_set(err, -EPROTO, "the reply to %s is not text", member);
        *text = strdup(words);
        return *text ? 0 : error_memory(err);
}

int dbus_call(struct dbus *bus, const struct dbus_method *method, const struct dbus_arguments *arguments, char **text,
              struct error *err)
{
        static const struct dbus_arguments none = { 0 };
        int r = send_call(bus, method, arguments ? arguments : &none, err);
        if (r < 0)
                return r;
        for (;;) {
                struct message message;
                r = receive(bus, &message);
                if (r < 0)
                        return error_code(err, r, "no reply to %s", method->member);
                bool reply =
                        (message.type == TYPE_RETURN || message.type == TYPE_ERROR) && message.reply_to == bus->serial;
                r = reply ? take_reply(&message, method->member, text, err) : keep_job(bus, &message);
                free(message.bytes);
                if (reply)
                        return r;
                if (r < 0)
                        return error_code(err, r, "unexpected message before the reply to %s", method->member);
        }
}

int dbus_wait_job(struct dbus *bus, const char *job, char **result, struct error *err)
{
        for (;;) {
                for (size_t i = 0; i < bus->job_count && i < JOBS_MAX; i++) {
                        if (!text_equal(bus->jobs[i].path, job))
                                continue;
                        *result = strdup(bus->jobs[i].result);
                        return *result ? 0 : error_memory(err);
                }
                struct message message;
                int r = receive(bus, &message);
                if (r < 0)
                        return error_code(err, r, "the job %s did not end", job);
                r = keep_job(bus, &message);
                free(message.bytes);
                if (r < 0)
                        return error_code(err, r, "unexpected message while waiting for the job %s", job);
        }
}

/* ---- connecting ---- */

/*
 * SASL EXTERNAL: the kernel tells the other end who we are; the line says who we claim to be, in hexadecimal. BEGIN
 * goes along, before the answer: systemd's private socket forgets to look at a message that arrives in one read with a
 * later BEGIN.
 */
static int authenticate(struct dbus *bus)
{
        char user[16], line[128] = "";
        snprintf(user, sizeof(user), "%u", (unsigned)geteuid());
        size_t length = (size_t)snprintf(line, sizeof(line), "%cAUTH EXTERNAL ", 0);
        for (const char *digit = user; *digit; digit++)
                length += (size_t)snprintf(line + length, sizeof(line) - length, "%02x", (unsigned)*digit);
        length += (size_t)snprintf(line + length, sizeof(line) - length, "\r\nBEGIN\r\n");
        int r = send_bytes(bus, line, length);

        /* Byte by byte: what follows the line belongs to the messages. */
        for (length = 0; !r && length < sizeof(line) - 1; length++) {
                r = read_bytes(bus, &line[length], 1);
                if (line[length] == '\n')
                        break;
        }
        if (r < 0)
                return r;
        return strncmp(line, "OK ", 3) ? -EACCES : 0;
}

static int greet(struct dbus *bus, struct error *err)
{
        static const struct dbus_method hello = { "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                                  "org.freedesktop.DBus", "Hello" };
        static const struct dbus_method match = { "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                                  "org.freedesktop.DBus", "AddMatch" };
        struct dbus_arguments rule = { .signature = "s" };
        int r = dbus_call(bus, &hello, NULL, NULL, err);
        if (!r) {
                dbus_put_string(&rule,
                                "type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'");
                r = dbus_call(bus, &match, &rule, NULL, err);
        }
        text_free(&rule.bytes);
        return r;
}

int dbus_open(const char *path, bool broker, struct dbus **bus, struct error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        if (strlen(path) >= sizeof(address.sun_path))
                return error_set(err, -ENAMETOOLONG, "the socket's path %s is too long", path);
        TEXT_COPY(address.sun_path, path);
        _cleanup_(dbus) struct dbus *opened = calloc(1, sizeof(*opened));
        if (!opened)
                return error_memory(err);
        opened->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval patience = { .tv_sec = TIMEOUT_SECONDS };
        if (opened->fd < 0 || setsockopt(opened->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
            connect(opened->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return error_errno(err, "cannot connect to %s", path);
        int r = authenticate(opened);
        if (r < 0)
                return error_code(err, r, "%s does not let us in", path);
        r = broker ? greet(opened, err) : 0;
        if (r < 0)
                return r;
        *bus = TAKE_PTR(opened);
        return 0;
}

void dbus_close(struct dbus *bus)
{
        if (!bus)
                return;
        if (bus->fd >= 0)
                close(bus->fd);
        for (size_t i = 0; i < JOBS_MAX; i++) {
                free(bus->jobs[i].path);
                free(bus->jobs[i].result);
        }
        free(bus);
}
