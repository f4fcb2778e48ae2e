/* Shows other clocks: the machine's, with as many seconds added as the file named by NICFW_TEST_CLOCK says, the first for
   the date and the second for the clock that nobody sets. Built and loaded by the tests. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
    long long added[2] = {0, 0};
    const char *path = getenv("NICFW_TEST_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        if (read(file, added, sizeof added) != sizeof added)
            abort();
        close(file);
    }
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_REALTIME)
        time->tv_sec += added[0];
    if (clock == CLOCK_MONOTONIC)
        time->tv_sec += added[1];
    return result;
}
