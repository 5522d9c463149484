/* What the options of TLS mean together. */
#ifndef KVD_NODE_CONFIG_TLS_H
#define KVD_NODE_CONFIG_TLS_H

#include "base/err.h"
#include "node/config.h"

/* Does not look into the files. err names the option and what would be right. */
int config_tls_check(const struct config *config, struct err *err);

/* Logs where certificates are given, and yet everything is in clear. */
void config_tls_warn(const struct config *config);

/* Some URL of this member, or of one that it dials, is https. */
bool config_tls_for_clients(const struct config *config);
bool config_tls_for_peers(const struct config *config);

#endif
