/* What the options mean together: what follows from others, and what contradicts. */
#ifndef KVD_NODE_CONFIG_CHECK_H
#define KVD_NODE_CONFIG_CHECK_H

#include "base/err.h"
#include "node/config.h"

/* Fills what nobody set from what was: data directory, advertised URLs, cluster. */
void config_derive(struct config *config);

/* err names the option and what would be right. */
int config_check(const struct config *config, struct err *err);

#endif
