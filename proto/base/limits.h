/* Every limit of the program, in one place. A limit that a user can set has its default
 * here and its option in node/config.c. */
#ifndef KVD_BASE_LIMITS_H
#define KVD_BASE_LIMITS_H

#define KIB (1024ull)
#define MIB (1024ull * KIB)
#define GIB (1024ull * MIB)

/* Requests. */
#define LIMIT_REQUEST_BYTES    (1536 * KIB) /* --max-request-bytes */
#define LIMIT_REQUEST_OVERHEAD (512 * KIB)  /* gRPC message = request bytes + this */
#define LIMIT_TXN_OPS          128          /* --max-txn-ops */
#define LIMIT_MESSAGE_DEPTH    130          /* nesting of one protobuf message */
#define LIMIT_MESSAGE_FIELDS   65536        /* submessages in one message */
#define LIMIT_CALL_ARENA       (32 * MIB)   /* memory of one call's decoded request */
#define LIMIT_RESPONSE_BYTES   (512 * MIB)  /* one reply */
#define LIMIT_HEADER_BYTES     (16 * KIB)   /* header list of one HTTP/2 stream */

/* Connections. */
#define LIMIT_CONNECTIONS      16384
#define LIMIT_STREAMS          1024 /* open calls of one connection */
#define LIMIT_STREAM_BACKLOG   (1 * GIB)
#define STREAM_LOW             (256 * KIB) /* below this a stream counts as drained */
#define LIMIT_HANDSHAKE_MS     10000       /* until the first complete preface */
#define LIMIT_GOODBYE_MS       500         /* for an answer to a goodbye */
#define LIMIT_HTTP1_IDLE_MS    60000       /* between two requests for pages */
#define LIMIT_HTTP1_TARGET     (2 * KIB)   /* path and query of a page */
#define LIMIT_HTTP1_INPUT      (128 * KIB) /* of requests that wait for the one before */
#define LIMIT_HTTP1_OUTPUT     (256 * KIB) /* above this no further request is read */
#define LIMIT_RATE_CLIENTS     16384       /* whose requests are counted */
#define LIMIT_PROBE_MS         7000        /* a page waits for its linearizable read */
#define LIMIT_FLUSH_BYTES      (1 * MIB)   /* to one connection in one turn */
#define LIMIT_LAST_BYTES       (4 * MIB)   /* waiting for a client that ended its side */
#define LIMIT_STALLED_MS       120000      /* output waits and the client takes nothing */
#define LIMIT_LINGER_MS        5000        /* a closed stream sends what it still holds */
#define LIMIT_LAST_FLUSH_MS    500         /* the same, when the process ends */
#define LIMIT_ACCEPTS          64          /* of one listener in one turn */
#define LIMIT_FILES_RESERVED   128         /* descriptors that sockets leave to others */
#define LIMIT_CONTROL_FRAMES   5000        /* a second on one connection */
#define LIMIT_OUTBOUND_FRAMES  20000       /* control frames that wait to be sent */
#define LIMIT_CONNECTION_INPUT (8 * MIB)   /* half-received large messages */

/* TLS. */
#define LIMIT_TLS_FILE    (4 * MIB)   /* of certificates, keys, revocation lists */
#define LIMIT_TLS_OUTPUT  (256 * KIB) /* encrypted, then written at once */
#define LIMIT_TLS_INPUT   (64 * KIB)  /* decrypted, then handed on at once */
#define LIMIT_TLS_HELD    (256 * KIB) /* received while the owner does not read */
#define LIMIT_TLS_SHAKES  16          /* steps of handshakes in one turn */
#define LIMIT_TLS_UNASKED (8 * KIB)   /* sent because the other side's TLS wanted it */
#define TLS_LOOK_MS       1000        /* between looks at the files */
#define TLS_WARN_DAYS     30          /* before a certificate expires */

/* The log. */
#define LIMIT_ENTRY_BYTES       (4 * MIB)   /* payload of one log entry */
#define LIMIT_BATCH_BYTES       (1 * MIB)   /* a turn's commands are split above this */
#define LIMIT_UNCOMMITTED_BYTES (64 * MIB)  /* proposals are refused above this */
#define LIMIT_APPLY_LAG         5000        /* committed - applied entries; as above */
#define LIMIT_PENDING_CALLS     65536       /* calls waiting for the log */
#define LIMIT_PENDING_BYTES     (64 * MIB)  /* of commands waiting for the log */
#define LIMIT_LOG_CACHE         (32 * MIB)  /* recent entries kept in memory */
#define LIMIT_SEGMENT_BYTES     (64 * MIB)  /* one log file */
#define LIMIT_SEGMENT_MIN       (16 * KIB)  /* one on a disk with little room */
#define LIMIT_SPARE_STEP        (1 * MIB)   /* zeros written ahead in one go */
#define LIMIT_LOG_WINDOW        (256 * KIB) /* one block of the log's cache */
#define LIMIT_LOG_GATHER        (512 * MIB) /* appended and not yet on disk */
#define LIMIT_LOG_RETRY_MS      100         /* between tries to write on a full disk */
#define LIMIT_LOG_STEPS         65536       /* writes and cuts of one batch */
#define LIMIT_ANCHOR_CONFIG     4000        /* encoded configuration in the vote file */
#define LIMIT_CHUNK_BYTES       (1 * MIB)   /* entries in one AppendEntries */
#define LIMIT_CHUNK_ENTRIES     1024
#define LIMIT_INFLIGHT_ENTRIES  4096       /* to one follower */
#define LIMIT_INFLIGHT_BYTES    (16 * MIB) /* the same, in bytes */
#define LIMIT_INFLIGHT_CHUNKS   64         /* the same, in AppendEntries */
#define LIMIT_OUTBOX_BYTES      (1 * MIB)  /* small peer frames of one turn */
#define LIMIT_OUTBOX_FRAMES     4096
#define LIMIT_READ_ROUNDS       16         /* rounds of read confirmation under way */
#define LIMIT_REMOTE_READS      256        /* read index requests of other members */
#define LIMIT_LOG_KEEP_ENTRIES  10000      /* recent entries that truncation spares ... */
#define LIMIT_LOG_KEEP_BYTES    (64 * MIB) /* ... or so many bytes, whichever is less */
#define LIMIT_LOG_HOLD_ENTRIES  1000000    /* kept while a member lacks them ... */
#define LIMIT_LOG_HOLD_BYTES    (512 * MIB) /* ... or so many bytes, whichever is less */
#define LIMIT_LOG_HOLD_STREAM   (8 * GIB)   /* the same while one fetches the state */
#define LIMIT_PEER_FRAME        (8 * MIB)
#define LIMIT_PEER_BACKLOG      (16 * MIB) /* unsent bytes to one member */
#define LIMIT_MEMBERS           9

/* The member. */
#define DISK_SPACE_MIN        (256 * MIB) /* a new member starts with at least this */
#define DISK_RESERVE          (32 * MIB)  /* with less, and a log segment, it is full */
#define DISK_TRANSACTION      (12 * MIB)  /* what one of SQLite's takes, at most */
#define LIMIT_PEER_STRANGERS  32          /* peer connections before their handshake */
#define LIMIT_PEER_HELLO      (4 * KIB)   /* a hello frame */
#define LIMIT_APPLY_BYTES     (4 * MIB)   /* payload in one SQLite transaction */
#define LIMIT_SCAN_STEPS      8           /* pages of long reads in one turn */
#define LIMIT_CLIENT_UNSENT   (16 * MIB)  /* of one connection; its reads wait above it */
#define LIMIT_STREAM_UNSENT   (64 * KIB)  /* of one stream; nothing is added above it */
#define LIMIT_UNSENT_BYTES    (256 * MIB) /* of replies; above it long reads wait */
#define LIMIT_IDLE_CALLS      1024        /* ended calls kept for reuse */
#define LIMIT_RENEW_IDS       1024        /* leases renewed by one command */
#define LIMIT_RENEW_BATCHES   16          /* such commands on their way, unless full */
#define LIMIT_RENEWALS        1048576 /* keep-alives that wait for their answers ... */
#define LIMIT_STREAM_RENEWALS 131072  /* ... and of one stream */
#define LIMIT_LOCK_PATIENCE   10      /* ms until a waiter enters a long line of a lock */
#define LIMIT_LOCK_WAKES      512     /* calls that wait for locks and look in one turn */

/* A state on its way to another member. */
#define LIMIT_STATE_STREAMS 4           /* members that fetch from one at a time */
#define LIMIT_STATE_CHUNK   (512 * KIB) /* of the file in one frame */
#define LIMIT_STATE_INPUT   (1 * MIB)   /* received; above this no more is read */
#define LIMIT_STATE_UNSYNCED                                                             \
    (1 * MIB) /* written by the receiver, not on its way to disk */
#define LIMIT_STATE_REQUEST (4 * KIB)  /* a request, and the answer to it */
#define LIMIT_COPY_SLICE    (1 * MIB)  /* of the database, read at once */
#define LIMIT_COPY_WAL      (2 * GIB)  /* proposals are held back above this meanwhile */
#define LIMIT_COPY_IDLE_MS  60000      /* a copy stays after its last use */
#define LIMIT_COPY_AGAIN_MS 5000       /* after one that failed */
#define STATE_SPACE_RESERVE (64 * MIB) /* free beside a copy, here and there */

/* The state machine. */
#define LIMIT_WAL_BYTES      (128 * MIB) /* proposals are held back above this */
#define WAL_CHECKPOINT_BYTES (16 * MIB)
#define WAL_RESERVE_BYTES    (32 * MIB) /* of the disk, taken when it is opened */
#define LIMIT_APPLY_BATCH    2048       /* log entries in one SQLite transaction */
#define LIMIT_APPLY_MS       20         /* it is open at most so long */
#define LIMIT_APPLY_TURN_MS  5 /* of a turn, after which no further entry is applied */
#define LIMIT_COMMAND_ARENA  (512 * MIB) /* memory of one decoded command of the log */
#define LIMIT_RANGE_WALK     8192 /* keys of the index that a page of a read visits */
#define LIMIT_RANGE_FETCH    512  /* values that a page of a read fetches */
#define LIMIT_RANGE_BYTES    (1 * MIB) /* bytes of values in a page of a read */
#define LIMIT_COMPACT_WALK   2048      /* events that a slice of compaction looks at */
#define LIMIT_COMPACT_SLICE  500       /* rows that a slice of compaction removes */
#define LIMIT_COMPACT_ROUND                                                              \
    (1024 * KIB)                      /* rows known to be superseded, not removed yet */
#define LIMIT_LEASES_SORTED 65536     /* leases that are listed in order */
#define LIMIT_LEASE_RECORDS 1024      /* in one row of the leases */
#define LIMIT_LEASE_ROWS    32        /* such rows that a batch removes as old */
#define LIMIT_LOAD_ROWS     65536     /* of history, taken into the index at a time ... */
#define LIMIT_LOAD_BYTES    (4 * MIB) /* ... or keys of so many bytes, and one more */
#define LIMIT_RESCAN_LEASES 16        /* such rows that a step of the rescan reads */
#define LIMIT_EXPIRE_WORK   256       /* leases and keys that an entry removes as due */
#define LIMIT_RESCAN_SLICE  256       /* rows that a step of the rescan reads */

/* Watches. */
#define LIMIT_WATCH_RING       (16 * MIB)  /* recent events that all watches share */
#define LIMIT_WATCH_BATCH      (512 * KIB) /* a batch ends with the revision beyond it */
#define LIMIT_WATCH_BATCH_REVS 1000        /* revisions in one batch */
#define LIMIT_WATCH_STEPS      8192        /* events of the ring that one pull visits */
#define LIMIT_WATCH_ROWS       1024        /* rows of history read in one turn */
#define LIMIT_WATCH_ROW_BYTES  (2 * MIB)   /* of events found in them */
#define LIMIT_WATCH_FEED       (8 * MIB)   /* sent to all streams in one turn */
#define LIMIT_WATCH_SENDS      8192        /* the same, in responses */
#define LIMIT_WATCH_RELEASES   4096        /* watchers of ended streams freed in a turn */
#define LIMIT_STREAM_WATCHERS  131072      /* of one stream */
#define LIMIT_CLIENT_WATCHERS  262144      /* of one connection */
#define LIMIT_WATCHERS         1048576     /* of one member */
#define LIMIT_WATCH_RANGES     (256 * MIB) /* memory of the distinct ranges watched */

/* Locks. */
#define LIMIT_LOCK_NAME      4096      /* bytes of a name, of kvd's own service */
#define LIMIT_LOCK_TEXT      256       /* bytes of an owner, a host, a reason */
#define LIMIT_LOCK_HOLD_NAME 64        /* bytes of a hold's id */
#define LIMIT_LOCK_HOLDS     1000      /* of one lease on one lock */
#define LIMIT_LOCK_SLOTS     1000000   /* of one lock */
#define LIMIT_LOCK_LIST      1000      /* locks or holds in one reply */
#define LIMIT_LOCK_REPLY     (2 * MIB) /* memory after which a reply gets no more */
#define LIMIT_LOCK_STEPS     10000     /* holds looked at for a deadlock */

/* Users and roles: as the texts of api/status.def say. */
#define LIMIT_AUTH_NAME       256       /* bytes of the name of a user or a role */
#define LIMIT_AUTH_PASSWORD   256       /* bytes of the hash of a password */
#define LIMIT_AUTH_BYTES      (8 * MIB) /* all of them, encoded */
#define LIMIT_AUTH_USER_ROLES 256       /* of one user */
#define LIMIT_AUTH_GRANTS     1024      /* permissions of one role */
#define LIMIT_AUTH_GRANT_KEY  4096      /* bytes of a permission's key, or range_end */
#define LIMIT_AUTH_SPANS      1048576   /* granted ranges kept ready, of all users */
#define LIMIT_RESCAN_AUTH     16        /* users and roles that a step rereads */

/* Who calls. */
#define LIMIT_TOKENS            65536 /* beyond, the longest not used is forgotten */
#define LIMIT_PASSWORDS         64 /* that wait to be compared or hashed */
#define LIMIT_KNOWN_PASSWORDS   1024
#define LIMIT_KNOWN_PASSWORD_MS 600000 /* since its last use */
#define LIMIT_KEY_FILE          (16 * KIB)

/* Failpoints, in the build for tests that has them. */
#define LIMIT_FAILPOINTS     64        /* armed at a time */
#define LIMIT_FAILPOINT_TEXT (8 * KIB) /* of the file that arms them */

/* kvctl. */
#define LIMIT_ENDPOINTS    64
#define LIMIT_CERT_HOSTS   64          /* that one certificate is for */
#define LIMIT_CLIENT_SEND  (64 * MIB)  /* one request; the server has its own limit */
#define LIMIT_CLIENT_ARENA (1 * GIB)   /* memory of one command's decoded replies */
#define LIMIT_INPUT_BYTES  (64 * MIB)  /* a value from stdin or a file */
#define LIMIT_LINE_BYTES   (8 * MIB)   /* a line of txn's input */
#define LIMIT_WATCH_QUEUE  (4 * MIB)   /* news of a watch that nobody has taken */
#define LIMIT_CACHE_BYTES  (256 * MIB) /* of libkvd's copy of a range */
#define LIMIT_TREE_FILES   1000000     /* import, export */
#define LIMIT_TREE_DEPTH   128         /* folders in folders */
#define LIMIT_LINE_WATCHES 1024        /* watch -i: watches at a time */
#define LIMIT_LINE_WORDS   1024        /* of one of its lines */
#define PAGE_BYTES         (4 * MIB)   /* large ranges are read in pages near this */

#endif
