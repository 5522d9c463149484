/* The progress line, redrawn in place at most ten times a second. */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/lib/socket.h"

#define PROGRESS_DELAY_MS  500
#define PROGRESS_REDRAW_MS 100
#define PROGRESS_CELLS     30

void progress_start(struct progress *progress, const char *what, uint64_t total)
{
    *progress = (struct progress){.what = what,
                                  .total = total,
                                  .started_ms = clock_ms(),
                                  .terminal = isatty(STDERR_FILENO)};
}

void progress_show(struct progress *progress, uint64_t done)
{
    static const char full[] = "##############################";
    int64_t now = clock_ms();
    int cells;

    if (!progress->terminal || now - progress->started_ms < PROGRESS_DELAY_MS ||
        now - progress->drawn_ms < PROGRESS_REDRAW_MS) {
        return;
    }
    cells = progress->total > 0 ? (int)(done * PROGRESS_CELLS / progress->total) : 0;
    fprintf(stderr, "\r%s [%-*.*s] %" PRIu64 " of %" PRIu64 " files", progress->what,
            PROGRESS_CELLS, cells, full, done, progress->total);
    progress->drawn_ms = now;
    progress->visible = true;
}

void progress_stop(struct progress *progress)
{
    if (progress->visible) {
        fputs("\r\033[K", stderr);
    }
    progress->visible = false;
}
