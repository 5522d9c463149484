/* The version of libraft that kvd was built with. The library in use cannot be asked: its
 * raft_version_number is declared but not exported. One
 * without raft_step is refused by the dynamic linker, as kvd is linked with -z now. */
#ifndef KVD_RAFTLOG_VERSION_H
#define KVD_RAFTLOG_VERSION_H

/* "0.22.1" */
const char *raftlog_libraft_version(void);

#endif
