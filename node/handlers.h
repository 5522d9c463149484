/* The handlers of rpc.def, by file. */
#ifndef KVD_NODE_HANDLERS_H
#define KVD_NODE_HANDLERS_H

struct call;

/* rpc_kv.c */
void rpc_range(struct call *call);
void rpc_put(struct call *call);
void rpc_delete_range(struct call *call);
void rpc_txn(struct call *call);
void rpc_compact(struct call *call);

/* rpc_lease.c */
void rpc_lease_grant(struct call *call);
void rpc_lease_revoke(struct call *call);
void rpc_lease_keep_alive(struct call *call);
void rpc_lease_time_to_live(struct call *call);
void rpc_lease_leases(struct call *call);

/* rpc_cluster.c */
void rpc_member_list(struct call *call);

/* rpc_maintenance.c */
void rpc_alarm(struct call *call);
void rpc_status(struct call *call);
void rpc_defragment(struct call *call);
void rpc_move_leader(struct call *call);

/* rpc_auth.c */
void rpc_auth_enable(struct call *call);
void rpc_auth_disable(struct call *call);
void rpc_auth_status(struct call *call);
void rpc_authenticate(struct call *call);
void rpc_user_add(struct call *call);
void rpc_user_get(struct call *call);
void rpc_user_list(struct call *call);
void rpc_user_delete(struct call *call);
void rpc_user_change_password(struct call *call);
void rpc_user_grant_role(struct call *call);
void rpc_user_revoke_role(struct call *call);
void rpc_role_add(struct call *call);
void rpc_role_get(struct call *call);
void rpc_role_list(struct call *call);
void rpc_role_delete(struct call *call);
void rpc_role_grant_permission(struct call *call);
void rpc_role_revoke_permission(struct call *call);

/* rpc_watch.c */
void rpc_watch(struct call *call);

/* rpc_lock.c */
void rpc_lock(struct call *call);
void rpc_unlock(struct call *call);

/* rpc_election.c */
void rpc_campaign(struct call *call);
void rpc_proclaim(struct call *call);
void rpc_leader(struct call *call);
void rpc_observe(struct call *call);
void rpc_resign(struct call *call);

/* rpc_kvd_lock.c */
void rpc_acquire(struct call *call);
void rpc_release(struct call *call);
void rpc_lock_list(struct call *call);
void rpc_lock_inspect(struct call *call);
void rpc_force_release(struct call *call);

/* rpc_health.c */
void rpc_health_check(struct call *call);
void rpc_health_watch(struct call *call);

#endif
