/* What systemd hears from the daemon. */
#include "node/notify.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int heard_fd;
static struct sockaddr_un at;

/* A socket as systemd gives it to a service. */
static void listen_as_systemd(void)
{
    char path[4096];
    char pid[16];

    at = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "build/notify.%d", (int)getpid());
    unlink(at.sun_path);
    heard_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(heard_fd, (struct sockaddr *)&at, sizeof(at)), 0);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    cr_assert_not_null(realpath(at.sun_path, path));
    setenv("NOTIFY_SOCKET", path, 1);
    setenv("WATCHDOG_PID", pid, 1);
}

static void stop_listening(void)
{
    close(heard_fd);
    unlink(at.sun_path);
}

TestSuite(notify, .init = listen_as_systemd, .fini = stop_listening);

/* The next message, or "". */
static const char *heard(void)
{
    static char text[256];
    ssize_t n = recv(heard_fd, text, sizeof(text) - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

Test(notify, readiness_and_stopping_are_told)
{
    notify_ready();
    cr_assert_not_null(strstr(heard(), "READY=1"));
    notify_stopping();
    cr_assert_not_null(strstr(heard(), "STOPPING=1"));
}

Test(notify, signs_of_life_come_within_the_watchdogs_limit)
{
    struct notify notify;

    setenv("WATCHDOG_USEC", "3000000", 1);
    notify_init(&notify);
    cr_assert_leq(notify_deadline_ms(&notify), 1000);
    notify_tick(&notify, 1000);
    cr_assert_str_eq(heard(), "WATCHDOG=1");
    notify_tick(&notify, 1500);
    cr_assert_str_eq(heard(), "");
    cr_assert_leq(notify_deadline_ms(&notify), 1000 + 1500);
    notify_tick(&notify, notify_deadline_ms(&notify));
    cr_assert_str_eq(heard(), "WATCHDOG=1");
}

Test(notify, without_a_watchdog_nothing_is_due)
{
    struct notify notify;

    unsetenv("WATCHDOG_USEC");
    notify_init(&notify);
    notify_tick(&notify, 1000);
    cr_assert_str_eq(heard(), "");
    cr_assert_eq(notify_deadline_ms(&notify), UINT64_MAX);
}
