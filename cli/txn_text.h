/* Transactions as text, in etcdctl's syntax: three sections, each ended by an empty line.
 *
 *     mod("k1") > "0"            compares: ver, c, mod, val or lease; = != < >
 *
 *     put k1 "new value"         what is done when all compares hold
 *     get k1
 *
 *     del --prefix old/          what is done otherwise
 *
 * Words with spaces are quoted: "with \n escapes" or 'as they are'. */
#ifndef KVD_CLI_TXN_TEXT_H
#define KVD_CLI_TXN_TEXT_H

#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "rpc.pb-c.h"

/* Reads a whole transaction. prompt: where to announce each section; NULL: nowhere.
 * Memory comes from the arena. ERR_INVALID names the line and what is wrong with it. */
int txn_text_read(FILE *in, FILE *prompt, struct arena *arena,
                  Etcdserverpb__TxnRequest *out, struct err *err);

/* One line of the first section, and of the others. */
int txn_text_compare(struct slice line, struct arena *arena, Etcdserverpb__Compare **out,
                     struct err *err);
int txn_text_op(struct slice line, struct arena *arena, Etcdserverpb__RequestOp **out,
                struct err *err);

#endif
