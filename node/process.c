/* Facts from /proc/self. Nothing fails: without /proc the facts are 0. */
#include "node/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Places in /proc/self/stat behind the name of the program (proc(5), counted from 3). */
enum {
    STAT_UTIME = 14,
    STAT_STIME = 15,
    STAT_START = 22,
    STAT_VSIZE = 23,
    STAT_RSS = 24
};

static void read_stat(uint64_t fields[STAT_RSS + 1])
{
    char text[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    char *at = NULL;

    if (file != NULL && fgets(text, sizeof(text), file) != NULL) {
        at = strrchr(text, ')'); /* the name may hold anything */
    }
    if (file != NULL) {
        fclose(file);
    }
    for (int i = 3; at != NULL && i <= STAT_RSS; i++) {
        at = strchr(at + 1, ' ');
        if (at != NULL) {
            sscanf(at, "%" SCNu64, &fields[i]);
        }
    }
}

static double boot_seconds(void)
{
    char line[256];
    FILE *file = fopen("/proc/stat", "re");
    double seconds = 0;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "btime %lf", &seconds) == 1) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return seconds;
}

static uint64_t count_open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint64_t n = 0;

    if (dir == NULL) {
        return 0;
    }
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n - 3; /* ".", ".." and the directory itself */
}

void process_read(struct process_facts *out)
{
    uint64_t fields[STAT_RSS + 1] = {0};
    double ticks = (double)sysconf(_SC_CLK_TCK);
    struct rlimit files = {0};

    read_stat(fields);
    getrlimit(RLIMIT_NOFILE, &files);
    *out = (struct process_facts){
        .cpu_seconds = (double)(fields[STAT_UTIME] + fields[STAT_STIME]) / ticks,
        .start_time_seconds = boot_seconds() + (double)fields[STAT_START] / ticks,
        .resident_bytes = fields[STAT_RSS] * (uint64_t)sysconf(_SC_PAGESIZE),
        .virtual_bytes = fields[STAT_VSIZE],
        .open_files = count_open_files(),
        .open_files_max = files.rlim_cur,
    };
}
