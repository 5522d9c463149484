/* The world outside: clock, randomness, worker threads, disk and network. Real in the
 * daemon (node/env_uv.c), simulated in tests/sim, so that a whole cluster runs in one
 * process from one seed. Nothing else in kvd reads a clock, a random number, a file of
 * the data directory or a socket.
 *
 * All calls are made on the loop's thread unless said otherwise. */
#ifndef KVD_BASE_ENV_H
#define KVD_BASE_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/slice.h"

struct env;

/* ---- work off the loop ---- */

enum env_lane {
    ENV_LANE_LOG,  /* one thread, strictly in order of submission: the log writer */
    ENV_LANE_WORK, /* a few threads, no order: checkpoints, hashing, long reads */
    ENV_LANE_BULK, /* one thread, in order, of low priority: whole states */
};

/* Embedded in the caller's struct; the callee's from submit until done. */
struct env_job {
    void (*run)(struct env_job *job);  /* on the lane's thread */
    void (*done)(struct env_job *job); /* on the loop, later, exactly once */
    struct env_job *next;              /* private */
};

/* ---- disk ---- */

/* All disk calls return 0 or a positive count, or a negative errno. They may be used from
 * any thread, one thread at a time per file. Files hold no position. */
struct disk;
struct disk_file;

enum {
    DISK_CREATE = 1,    /* make the file when it is missing, mode 0600 */
    DISK_EXCLUSIVE = 2, /* with CREATE: fail with -EEXIST when it exists */
    DISK_READ_ONLY = 4,
};

struct disk_ops {
    int (*open)(struct disk *disk, const char *path, int flags, struct disk_file **out);
    ssize_t (*read)(struct disk_file *file, void *bytes, size_t len, uint64_t offset);
    /* May be short, as pwrite(2). */
    ssize_t (*write)(struct disk_file *file, const void *bytes, size_t len,
                     uint64_t offset);
    int (*sync)(struct disk_file *file); /* fdatasync */
    /* Has the bytes of a range written and waits for that, without making them durable:
     * a later sync then finds little left to do, and others' syncs do not wait for it. */
    int (*write_out)(struct disk_file *file, uint64_t offset, size_t len);
    int (*truncate)(struct disk_file *file, uint64_t size);
    /* Reserves blocks for [0, size) and grows the file with zeros. */
    int (*allocate)(struct disk_file *file, uint64_t size);
    int64_t (*size)(struct disk_file *file);
    void (*close)(struct disk_file *file);
    int (*rename)(struct disk *disk, const char *from, const char *to);
    int (*unlink)(struct disk *disk, const char *path);
    int (*mkdir)(struct disk *disk, const char *path); /* mode 0700; -EEXIST */
    int (*sync_dir)(struct disk *disk, const char *path);
    /* Calls back for each name but . and .. in no order; stops when it returns false. */
    int (*list)(struct disk *disk, const char *path,
                bool (*each)(void *owner, const char *name), void *owner);
    /* Bytes free for us on the file system of path. */
    int64_t (*space)(struct disk *disk, const char *path);
    /* Opens a file, made when missing, and locks it for this process until it is closed;
     * -EWOULDBLOCK when another one has it. */
    int (*lock)(struct disk *disk, const char *path, struct disk_file **out);
};

struct disk {
    const struct disk_ops *ops;
    const char *sqlite_vfs; /* name of the VFS that sees the same files; NULL: default */
};

/* The whole of it, however short single writes are: 0 or a negative errno. */
int disk_write_all(struct disk *disk, struct disk_file *file, const void *bytes,
                   size_t len, uint64_t offset);

/* As much of it as the file holds: how much, or a negative errno. */
ssize_t disk_read_all(struct disk *disk, struct disk_file *file, void *bytes, size_t len,
                      uint64_t offset);

/* Makes the entry of a file in its directory durable. */
int disk_sync_entry(struct disk *disk, const char *path);

/* ---- network ---- */

/* A stream of bytes: a TCP connection. Events are never delivered from inside a call. */
struct stream;
struct listener;

struct stream_events {
    /* A connect ended: rc is 0 or ERR_NETWORK; refused tells a refused connection from
     * other failures. After a failure no other event follows; call stream_close. */
    void (*opened)(void *owner, int rc, bool refused);
    void (*received)(void *owner, struct slice bytes);
    /* The peer ended (reset false) or broke (reset true) the connection; no more events.
     * The owner must call stream_close. */
    void (*ended)(void *owner, bool reset);
    /* The backlog fell below STREAM_LOW after it had been above it. May be NULL. */
    void (*drained)(void *owner);
};

struct net;

/* How a stream is secured, which follows from who is expected at its other end. Only the
 * net of node/tls.h knows more than NET_PLAIN. */
enum net_security {
    NET_PLAIN,
    NET_TLS_CLIENT, /* TLS by the terms for clients */
    NET_TLS_PEER,   /* TLS by the terms for other members: both sides show certificates */
};

struct net_ops {
    /* address is host:port (IPv6 in brackets). accept gets each new stream and must call
     * stream_attach or stream_close on it; with TLS the handshake follows then, and what
     * goes wrong with it is told as ended. err names the address and what to do. */
    int (*listen)(struct net *net, const char *address, enum net_security security,
                  void (*accept)(void *owner, struct stream *stream), void *owner,
                  struct listener **out, struct err *err);
    void (*unlisten)(struct listener *listener);
    /* Stops and starts taking new connections. */
    void (*pause_accept)(struct listener *listener, bool paused);
    /* With TLS it is opened when the other side has shown to be the address's host. */
    struct stream *(*connect)(struct net *net, const char *address,
                              enum net_security security,
                              const struct stream_events *events, void *owner);
    /* A later attach hands the stream to another owner, who is told what comes next: an
     * end that was told already is not told again. */
    void (*attach)(struct stream *stream, const struct stream_events *events,
                   void *owner);
    /* Copies what the socket does not take at once. Errors arrive as ended. The caller
     * watches backlog; it is bounded by LIMIT_STREAM_BACKLOG, beyond which the stream
     * breaks. */
    void (*write)(struct stream *stream, struct slice bytes);
    size_t (*backlog)(struct stream *stream);
    void (*pause)(struct stream *stream, bool paused); /* reading */
    /* Sends what is queued (abort false), then closes. The stream and its events are gone
     * for the caller at once. */
    void (*close)(struct stream *stream, bool abort);
    /* "127.0.0.1:1234"; lives as long as the stream. */
    const char *(*peer_address)(struct stream *stream);
    /* The common name in the verified certificate of the other side, NULL without one; to
     * be asked once bytes came; lives as long as the stream. NULL: this net has none. */
    const char *(*peer_name)(struct stream *stream);
    /* The other side's verified certificate is made out for this host (a DNS name or an
     * IP address); NULL: this net has no certificates. True where a stream is plain. */
    bool (*peer_is)(struct stream *stream, const char *host);
    /* Why it did not open or has broken, when more is known than that; NULL otherwise.
     * NULL: this net never knows more. */
    const char *(*trouble)(struct stream *stream);
};

struct net {
    const struct net_ops *ops;
};

static inline const char *net_trouble(struct net *net, struct stream *stream)
{
    return net->ops->trouble != NULL ? net->ops->trouble(stream) : NULL;
}

/* ---- all of it ---- */

struct env_ops {
    uint64_t (*mono_ns)(struct env *env); /* any thread; never goes back */
    int64_t (*wall_ms)(struct env *env);  /* for people, never for decisions */
    void (*random)(struct env *env, void *bytes, size_t len);
    void (*submit)(struct env *env, enum env_lane lane, struct env_job *job);
    /* Asks for a turn of the loop at once, although nothing arrived. */
    void (*wake)(struct env *env);
    /* The member cannot go on (text is one line for the operator): the daemon logs it and
     * exits with code 1, the simulation ends this node. May be NULL: as the daemon. */
    void (*fatal)(struct env *env, const char *text);
};

struct env {
    const struct env_ops *ops;
    struct disk *disk;
    struct net *net;
};

static inline uint64_t env_mono_ns(struct env *env)
{
    return env->ops->mono_ns(env);
}

static inline uint64_t env_mono_ms(struct env *env)
{
    return env->ops->mono_ns(env) / 1000000;
}

static inline int64_t env_wall_ms(struct env *env)
{
    return env->ops->wall_ms(env);
}

static inline void env_random(struct env *env, void *bytes, size_t len)
{
    env->ops->random(env, bytes, len);
}

static inline uint64_t env_random_u64(struct env *env)
{
    uint64_t value;

    env->ops->random(env, &value, sizeof(value));
    return value;
}

/* Ends the member, see fatal above. Returns only in the simulation. */
void env_fatal(struct env *env, const char *text);

static inline void env_submit(struct env *env, enum env_lane lane, struct env_job *job)
{
    env->ops->submit(env, lane, job);
}

#endif
