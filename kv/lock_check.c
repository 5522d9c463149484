/* What is refused of a lock request before it gets into the log, and the keys of locks.
 */
#include "base/limits.h"
#include "kv/kv.h"
#include "kv/lock.h"
#include "kv/span.h"

static const char own_prefix[] = "_kvd/";
static const char forced_prefix[] = "_kvd/lock-released/";

static bool is_id_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           c == '_' || c == '-';
}

bool kv_lock_hold_valid(struct slice hold)
{
    for (size_t i = 0; i < hold.len; i++) {
        if (!is_id_byte(hold.ptr[i])) {
            return false;
        }
    }
    return hold.len > 0 && hold.len <= LIMIT_LOCK_HOLD_NAME;
}

static enum api_status check_name(struct slice name)
{
    const size_t own = sizeof(own_prefix) - 1;

    if (name.len == 0 || name.len > LIMIT_LOCK_NAME || name.ptr[name.len - 1] == '/') {
        return API_LOCK_NAME;
    }
    return name.len >= own && memcmp(name.ptr, own_prefix, own) == 0 ? API_LOCK_NAME_OWN
                                                                     : API_OK;
}

static enum api_status check_hold(struct slice name, int64_t lease, const char *hold)
{
    enum api_status status = check_name(name);

    if (status != API_OK) {
        return status;
    }
    if (lease == 0) {
        return API_LOCK_LEASE;
    }
    return kv_lock_hold_valid(slice_str(hold)) ? API_OK : API_LOCK_HOLD;
}

enum api_status kv_check_acquire(const Kvd__V1__AcquireRequest *req)
{
    const Kvd__V1__LockOwner *owner = req->owner;
    bool with_slots = req->mode == KVD__V1__LOCK_MODE__SLOTS;
    enum api_status status = check_hold(api_slice(req->name), req->lease, req->hold);

    if (status != API_OK) {
        return status;
    }
    if ((unsigned)req->mode > KVD__V1__LOCK_MODE__SLOTS) {
        return API_LOCK_MODE;
    }
    if (with_slots != (req->slots != 0) || req->slots > LIMIT_LOCK_SLOTS) {
        return API_LOCK_SLOTS;
    }
    if (req->wait_ms < -1) {
        return API_LOCK_WAIT;
    }
    if (owner != NULL && (strlen(owner->owner) > LIMIT_LOCK_TEXT ||
                          strlen(owner->host) > LIMIT_LOCK_TEXT)) {
        return API_LOCK_OWNER;
    }
    return API_OK;
}

enum api_status kv_check_release(const Kvd__V1__ReleaseRequest *req)
{
    return check_hold(api_slice(req->name), req->lease, req->hold);
}

enum api_status kv_check_force_release(const Kvd__V1__ForceReleaseRequest *req)
{
    if (req->name.len == 0) {
        return API_LOCK_NAME;
    }
    if (req->token <= 0) {
        return API_LOCK_TOKEN;
    }
    return req->reason[0] == '\0' || strlen(req->reason) > LIMIT_LOCK_TEXT
               ? API_LOCK_REASON
               : API_OK;
}

struct slice kv_lock_key(struct arena *arena, struct slice name, int64_t lease)
{
    const struct lock_place place = {.name = name};
    uint8_t *bytes = arena_alloc(arena, lock_key_max(name.len));

    return slice_of(bytes, lock_write_key(&place, lease, bytes));
}

struct slice kv_lock_forced_key(struct arena *arena, struct slice name)
{
    const size_t len = sizeof(forced_prefix) - 1;
    uint8_t *bytes = arena_alloc(arena, len + name.len);

    memcpy(bytes, forced_prefix, len);
    if (name.len > 0) {
        memcpy(bytes + len, name.ptr, name.len);
    }
    return slice_of(bytes, len + name.len);
}
