/* From the text of an option to its field in struct config. */
#ifndef KVD_NODE_CONFIG_VALUE_H
#define KVD_NODE_CONFIG_VALUE_H

#include "base/err.h"
#include "node/config.h"
#include "node/options.h"

/* Parses by the option's kind. err says what is wrong and what would be right, but not
 * which option. The config owns what was allocated, also on failure. */
int config_value_parse(struct config *config, const struct option *option,
                       const char *text, struct err *err);

/* yes and no as Go writes them (1, t, true ...). */
bool config_value_bool(const char *text, bool *out);

/* Copies the URLs of one list to another, empty one. */
void config_urls_copy(struct config_urls *to, const struct config_urls *from);
void config_urls_close(struct config_urls *urls);

/* Adds a peer with its URLs; the list stays sorted by name. */
struct config_peer *config_peer_add(struct config *config, const char *name);

#endif
