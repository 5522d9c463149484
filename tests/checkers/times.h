/* Times are ns of one clock, whether of a simulated world or of the machine. */
#ifndef KVD_CHECKERS_TIMES_H
#define KVD_CHECKERS_TIMES_H

#define TIME_MS 1000000ull
#define TIME_S  1000000000ull

#endif
