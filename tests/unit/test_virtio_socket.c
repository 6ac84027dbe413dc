/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/socket.h"

#include <errno.h>

#include "virtio_driver.h"

enum {
        MESSAGE = DRIVER_DATA,
        BYTES = DRIVER_DATA + 0x100,
        BUFFERS = DRIVER_DATA + 0x20000,
        BUFFER_SIZE = 4096,
        HEADER = 44
};
enum { REQUEST = 1, RESPONSE = 2, RESET = 3, SHUTDOWN = 4, DATA = 5, CREDIT = 6, ASK_CREDIT = 7 };
enum { GUEST = 3, GUEST_PORT = 1000, HOST_PORT = 50 };

struct __attribute__((packed)) message {
        uint64_t from, to;
        uint32_t from_port, to_port, length;
        uint16_t type, operation;
        uint32_t flags, credit, consumed;
};

/* A host whose one peer hears what it is told. */
static struct {
        struct virtio_socket socket;
        struct socket_connection *connection;
        bool refuses, open, ended, connected;
        uint8_t heard[4096];
        size_t heard_length;
        long to_say; /* bytes, or a negative code, or 0: the end */
} host;

static void *on_connect(void *owner, uint32_t port, struct socket_connection *connection)
{
        (void)owner;
        if (host.refuses || port != HOST_PORT)
                return NULL;
        host.connection = connection;
        host.open = true;
        return &host;
}

static void on_connected(void *owner, void *peer, uint32_t port)
{
        (void)owner;
        (void)peer;
        (void)port;
        host.connected = true;
}

static void on_write(void *owner, void *peer, const struct virtqueue_part *parts, unsigned count)
{
        (void)owner;
        (void)peer;
        for (unsigned i = 0; i < count && host.heard_length + parts[i].length <= sizeof(host.heard); i++) {
                memcpy(host.heard + host.heard_length, parts[i].host, parts[i].length);
                host.heard_length += parts[i].length;
        }
}

static long on_read(void *owner, void *peer, void *bytes, size_t room)
{
        (void)owner;
        (void)peer;
        long n = host.to_say > (long)room ? (long)room : host.to_say;
        if (n > 0)
                memset(bytes, 0x44, (size_t)n);
        host.to_say = n > 0 ? (host.to_say - n ? host.to_say - n : -EAGAIN) : n;
        return n;
}

static void on_want(void *owner, void *peer, bool wanted)
{
        (void)owner;
        (void)peer;
        (void)wanted;
}

static void on_end(void *owner, void *peer)
{
        (void)owner;
        (void)peer;
        host.ended = true;
}

static void on_close(void *owner, void *peer)
{
        (void)owner;
        (void)peer;
        host.open = false;
}

static void offer_buffers(unsigned count)
{
        for (unsigned i = 0; i < count; i++)
                driver_offer(0,
                             &(struct driver_part){ BUFFERS + driver.offered[0] % 16 * BUFFER_SIZE, BUFFER_SIZE, true },
                             1);
        driver_notify(0);
}

static void set_up(unsigned buffers)
{
        memset(&host, 0, sizeof(host));
        const struct socket_backend backend = { .connect = on_connect,
                                                .connected = on_connected,
                                                .write = on_write,
                                                .read = on_read,
                                                .want_bytes = on_want,
                                                .end_of_bytes = on_end,
                                                .close = on_close };
        virtio_socket_init(&host.socket, &backend, GUEST);
        driver_open(&host.socket.device);
        assert_int_equal(driver_start(0, 3), 15);
        offer_buffers(buffers);
}

/* A message of the guest, with `length` bytes of data that say so and `real` that are there. */
static void tell_port(unsigned operation, uint32_t port, uint32_t length, uint32_t real, uint32_t flags)
{
        const struct message message = { .from = GUEST,
                                         .to = 2,
                                         .from_port = GUEST_PORT,
                                         .to_port = port,
                                         .length = length,
                                         .type = 1,
                                         .operation = (uint16_t)operation,
                                         .flags = flags,
                                         .credit = 65536 };
        const struct driver_part parts[] = { { MESSAGE, HEADER, false }, { BYTES, real, false } };
        memcpy(driver.ram + MESSAGE, &message, sizeof(message));
        driver_send(1, parts, real ? 2 : 1);
}

static void tell(unsigned operation, uint32_t length, uint32_t flags)
{
        tell_port(operation, HOST_PORT, length, length, flags);
}

/* The n-th message that the guest was sent. */
static struct message heard(unsigned n)
{
        struct message message;
        assert_true(driver_used(0) > n);
        memcpy(&message, driver.ram + BUFFERS + n * BUFFER_SIZE, sizeof(message));
        return message;
}

static void test_a_connection_of_the_guest_is_answered(void **state)
{
        (void)state;
        set_up(4);
        tell(REQUEST, 0, 0);
        struct message answer = heard(0);
        assert_int_equal(answer.operation, RESPONSE);
        assert_int_equal(answer.to, GUEST);
        assert_int_equal(answer.to_port, GUEST_PORT);
        assert_int_equal(answer.from_port, HOST_PORT);
        assert_int_equal(answer.credit, VIRTIO_SOCKET_CREDIT);
}

static void test_a_port_where_nobody_listens_is_refused(void **state)
{
        (void)state;
        set_up(4);
        tell_port(REQUEST, HOST_PORT + 1, 0, 0, 0);
        assert_int_equal(heard(0).operation, RESET);
        tell_port(DATA, HOST_PORT + 1, 4, 4, 0);
        assert_int_equal(heard(1).operation, RESET);
}

static void test_bytes_of_the_guest_reach_the_peer(void **state)
{
        (void)state;
        set_up(4);
        tell(REQUEST, 0, 0);
        memcpy(driver.ram + BYTES, "hello", 5);
        tell(DATA, 5, 0);
        assert_int_equal(host.heard_length, 5);
        assert_memory_equal(host.heard, "hello", 5);
}

static void test_a_message_that_is_shorter_than_it_says_resets_its_connection(void **state)
{
        (void)state;
        set_up(4);
        tell(REQUEST, 0, 0);
        tell_port(DATA, HOST_PORT, 6, 5, 0);
        assert_int_equal(heard(1).operation, RESET);
        assert_false(host.open);
        assert_false(driver_needs_reset());
}

static void test_a_guest_that_overdraws_its_credit_is_reset(void **state)
{
        (void)state;
        set_up(4);
        tell(REQUEST, 0, 0);
        for (unsigned i = 0; i < VIRTIO_SOCKET_CREDIT / 65536; i++)
                tell(DATA, 65536, 0);
        assert_true(host.open);
        tell(DATA, 1, 0);
        assert_false(host.open);
}

static void test_credit_comes_back_as_the_peer_takes_bytes(void **state)
{
        (void)state;
        set_up(4);
        tell(REQUEST, 0, 0);
        tell(DATA, 65536, 0);
        virtio_socket_consumed(&host.socket, host.connection, 100);
        assert_int_equal(driver_used(0), 1);
        virtio_socket_consumed(&host.socket, host.connection, 65436);
        assert_int_equal(heard(1).operation, CREDIT);
        assert_int_equal(heard(1).consumed, 65536);
        tell(ASK_CREDIT, 0, 0);
        assert_int_equal(heard(2).operation, CREDIT);
}

static void test_bytes_of_the_peer_reach_the_guest_within_its_credit(void **state)
{
        (void)state;
        set_up(16);
        tell(REQUEST, 0, 0);
        host.connection->guest_credit = 5000;
        host.to_say = 6000;
        virtio_socket_readable(&host.socket, host.connection);
        assert_int_equal(heard(1).operation, DATA);
        assert_int_equal(heard(1).length, BUFFER_SIZE - HEADER);
        assert_int_equal(driver.ram[BUFFERS + BUFFER_SIZE + HEADER], 0x44);
        assert_int_equal(heard(1).length + heard(2).length, 5000);
        assert_int_equal(driver_used(0), 3);
        host.connection->guest_consumed = 5000;
        tell(CREDIT, 0, 0); /* says 65536, and that nothing was consumed */
        assert_int_equal(driver_used(0), 4);
}

static void test_messages_wait_for_buffers(void **state)
{
        (void)state;
        set_up(0);
        tell(REQUEST, 0, 0);
        tell_port(REQUEST, HOST_PORT + 1, 0, 0, 0);
        assert_int_equal(driver_used(0), 0);
        offer_buffers(4);
        assert_int_equal(driver_used(0), 2);
}

static void test_the_end_of_the_peers_bytes_is_a_shutdown(void **state)
{
        (void)state;
        set_up(4);
        tell(REQUEST, 0, 0);
        host.to_say = 0;
        virtio_socket_readable(&host.socket, host.connection);
        assert_int_equal(heard(1).operation, SHUTDOWN);
        assert_int_equal(heard(1).flags, 2);
        virtio_socket_readable(&host.socket, host.connection);
        assert_int_equal(driver_used(0), 2); /* told once */
}

static void test_a_guest_that_closes_is_confirmed(void **state)
{
        (void)state;
        set_up(4);
        tell(REQUEST, 0, 0);
        tell(SHUTDOWN, 0, 2);
        assert_true(host.ended && host.open);
        tell(SHUTDOWN, 0, 3);
        assert_false(host.open);
        assert_int_equal(heard(1).operation, RESET);
        tell(DATA, 1, 0); /* it is forgotten */
        assert_int_equal(heard(2).operation, RESET);
}

static void test_the_host_connects_to_the_guest(void **state)
{
        (void)state;
        set_up(4);
        host.connection = virtio_socket_connect(&host.socket, &host, 77);
        assert_non_null(host.connection);
        assert_int_equal(heard(0).operation, REQUEST);
        assert_int_equal(heard(0).to_port, 77);
        struct message answer = { .from = GUEST,
                                  .to = 2,
                                  .from_port = 77,
                                  .to_port = heard(0).from_port,
                                  .type = 1,
                                  .operation = RESPONSE,
                                  .credit = 1000 };
        memcpy(driver.ram + MESSAGE, &answer, sizeof(answer));
        driver_send(1, &(struct driver_part){ MESSAGE, HEADER, false }, 1);
        assert_true(host.connected);
}

static void test_a_peer_that_goes_resets_the_guest(void **state)
{
        (void)state;
        set_up(4);
        tell(REQUEST, 0, 0);
        virtio_socket_reset(&host.socket, host.connection);
        assert_int_equal(heard(1).operation, RESET);
}

static void test_a_reset_of_the_device_closes_every_peer(void **state)
{
        (void)state;
        set_up(4);
        tell(REQUEST, 0, 0);
        driver_common(COMMON_STATUS, 1, 0);
        assert_false(host.open);
        assert_null(virtio_socket_connect(&host.socket, &host, 77));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_connection_of_the_guest_is_answered),
                cmocka_unit_test(test_a_port_where_nobody_listens_is_refused),
                cmocka_unit_test(test_bytes_of_the_guest_reach_the_peer),
                cmocka_unit_test(test_a_message_that_is_shorter_than_it_says_resets_its_connection),
                cmocka_unit_test(test_a_guest_that_overdraws_its_credit_is_reset),
                cmocka_unit_test(test_credit_comes_back_as_the_peer_takes_bytes),
                cmocka_unit_test(test_bytes_of_the_peer_reach_the_guest_within_its_credit),
                cmocka_unit_test(test_messages_wait_for_buffers),
                cmocka_unit_test(test_the_end_of_the_peers_bytes_is_a_shutdown),
                cmocka_unit_test(test_a_guest_that_closes_is_confirmed),
                cmocka_unit_test(test_the_host_connects_to_the_guest),
                cmocka_unit_test(test_a_peer_that_goes_resets_the_guest),
                cmocka_unit_test(test_a_reset_of_the_device_closes_every_peer),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
