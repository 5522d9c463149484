/* kvctl watch -i: watches are made and ended by lines on stdin. */
#ifndef KVD_CLI_WATCH_LINES_H
#define KVD_CLI_WATCH_LINES_H

#include "cli/watch_run.h"

/* Until stdin ends. */
enum exit_code watch_lines(struct session *session, struct err *err);

#endif
