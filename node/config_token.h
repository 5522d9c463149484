/* The value of --auth-token: the kind of tokens and, for signed ones, how to sign. */
#ifndef KVD_NODE_CONFIG_TOKEN_H
#define KVD_NODE_CONFIG_TOKEN_H

#include "base/err.h"
#include "node/config.h"

/* simple, or jwt,name=value,... as etcd writes it. ERR_INVALID names the part. */
int config_token_parse(struct config_token *token, const char *text, struct err *err);
void config_token_close(struct config_token *token);

#endif
