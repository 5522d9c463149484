#include "raftlog/version.h"

#include <raft.h>

_Static_assert(RAFT_VERSION_NUMBER >= 2201 && RAFT_VERSION_NUMBER < 2300,
               "raftlog knows the bugs and the structs of libraft 0.22.1 and its "
               "successors in 0.22 (Debian package libraft-dev)");

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, release)                                              \
    TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(release)

const char *raftlog_libraft_version(void)
{
    return VERSION_TEXT(RAFT_VERSION_MAJOR, RAFT_VERSION_MINOR, RAFT_VERSION_RELEASE);
}
