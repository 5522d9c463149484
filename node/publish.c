#include "node/publish.h"

#include "base/failpoint.h"
#include "base/limits.h"
#include "base/log.h"

#define RETRY_MS 500

static char **url_texts(struct arena *arena, const struct config_urls *urls)
{
    char **texts = arena_alloc(arena, (urls->n + 1) * sizeof(*texts));

    for (size_t i = 0; i < urls->n; i++) {
        texts[i] = urls->items[i].text;
    }
    return texts;
}

static void on_applied(struct machine_op *op, enum api_status status,
                       ProtobufCMessage *response)
{
    struct publisher *p = container_of(op, struct publisher, op);

    p->under_way = false;
    p->retry_ms = env_mono_ms(p->env) + RETRY_MS;
    if (status == API_OK) {
        p->done = true;
        log_info("published this member to the cluster",
                 LOG_TEXT("name", p->config->name),
                 LOG_HEX("member", p->publish.member_id),
                 LOG_TEXT("client_url",
                          p->publish.n_client_urls > 0 ? p->publish.client_urls[0] : ""));
    } else if (status != API_STOPPED) {
        log_warn("could not announce this member yet, trying again",
                 LOG_TEXT("why", api_status_text(status)));
    }
}

void publisher_init(struct publisher *p, struct machine *machine, struct env *env,
                    const struct config *config, uint64_t member_id, uint64_t store_id)
{
    *p = (struct publisher){.machine = machine, .env = env, .config = config};
    arena_init(&p->arena, MIB);
    kvd__command__publish__init(&p->publish);
    p->publish.member_id = member_id;
    p->publish.store_id = store_id;
    p->publish.name = config->name;
    p->publish.n_client_urls = config->advertise_client.n;
    p->publish.client_urls = url_texts(&p->arena, &config->advertise_client);
    p->publish.n_peer_urls = config->advertise_peer.n;
    p->publish.peer_urls = url_texts(&p->arena, &config->advertise_peer);
}

void publisher_continue(struct publisher *p, uint64_t now_ms)
{
    if (p->done || p->under_way || now_ms < p->retry_ms) {
        return;
    }
    FAILPOINT(PUBLISH);
    kvd__command__command__init(&p->command);
    p->command.request_case = KVD__COMMAND__COMMAND__REQUEST_PUBLISH;
    p->command.publish = &p->publish;
    p->command.internal = true;
    p->op = (struct machine_op){
        .command = &p->command,
        .arena = &p->arena,
        .done = on_applied,
    };
    p->under_way = true;
    machine_submit(p->machine, &p->op);
}

bool publisher_done(const struct publisher *p)
{
    return p->done;
}

uint64_t publisher_deadline_ms(const struct publisher *p)
{
    return p->done || p->under_way ? UINT64_MAX : p->retry_ms;
}

void publisher_close(struct publisher *p)
{
    arena_close(&p->arena);
}
