/* redis.c: Redis streams over a Unix socket as a peer, through hiredis: XADD in pipelines of 64, XREAD of up to 256.
 *
 * A server of its own, without persistence. It keeps what was read too, so a measurement is bounded by bytes. */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop.h"

#define PIPELINE 64
#define VALUE_FIELDS 2 /* a field's name and its value */
#define FOLDER_SIZE 64

static struct {
    int pid;
    char folder[FOLDER_SIZE], path[FOLDER_SIZE + 8];
} server;

struct redis_end {
    struct peer_end base;
    redisContext *redis;
    uint32_t unanswered;
    redisReply *reply; /* of the last XREAD; its values are handed out one by one */
    size_t next;
    char after[64]; /* the id of the last record that was taken */
};

static int failed(const redisContext *redis, const char *doing)
{
    tool_error("Redis: %s: %s", doing, redis && redis->err ? redis->errstr : "an unexpected answer");
    return -EIO;
}

static redisContext *connect_to_server(void)
{
    redisContext *redis = redisConnectUnix(server.path);
    if (redis && !redis->err)
        return redis;
    if (redis)
        redisFree(redis);
    return NULL;
}

static void stop(void)
{
    peer_daemon_end(server.pid);
    server.pid = 0;
    (void)unlink(server.path);
    (void)rmdir(server.folder);
}

static int start(void)
{
    snprintf(server.folder, sizeof server.folder, "/tmp/spate-redis.XXXXXX");
    if (!mkdtemp(server.folder))
        return peer_failed("Redis", "cannot make a folder below /tmp");
    snprintf(server.path, sizeof server.path, "%s/redis", server.folder);
    const char *const arguments[] = {"redis-server", "--port", "0",     "--unixsocket", server.path,   "--save", "",
                                     "--appendonly", "no",     "--dir", server.folder,  "--daemonize", "no",     NULL};
    server.pid = peer_daemon(arguments);
    for (int i = 0; server.pid > 0 && i < 500; i++) {
        redisContext *redis = connect_to_server();
        if (redis) {
            redisFree(redis);
            return 0;
        }
        usleep(10000);
    }
    stop();
    return tool_error("redis-server does not answer");
}

static int prepare(struct peer_run *run)
{
    redisContext *redis = connect_to_server();
    redisReply *reply = redis ? redisCommand(redis, "FLUSHALL") : NULL;
    const int error = reply ? 0 : failed(redis, "cannot empty it");

    (void)run;
    freeReplyObject(reply);
    if (redis)
        redisFree(redis);
    return error;
}

static int open_connection(struct peer_end *end)
{
    struct redis_end *mine = (struct redis_end *)end;

    mine->redis = connect_to_server();
    snprintf(mine->after, sizeof mine->after, "0");
    return mine->redis ? 0 : failed(NULL, "cannot connect");
}

static void *claim(struct peer_end *end)
{
    return end->value;
}

static int take_answers(struct peer_end *end)
{
    struct redis_end *mine = (struct redis_end *)end;

    for (; mine->unanswered > 0; mine->unanswered--) {
        redisReply *reply = NULL;
        const int status = redisGetReply(mine->redis, (void **)&reply);
        const bool done = status == REDIS_OK && reply->type == REDIS_REPLY_STRING;
        freeReplyObject(reply);
        if (!done)
            return failed(mine->redis, "XADD");
    }
    return 0;
}

static int send_value(struct peer_end *end)
{
    struct redis_end *mine = (struct redis_end *)end;
    const char *const words[] = {"XADD", end->channel ? "back" : "there", "*", "v", (const char *)end->value};
    const size_t sizes[] = {4, end->channel ? 4 : 5, 1, 1, end->value_size};

    const char *copies[5];
    memcpy(copies, words, sizeof copies);
    if (redisAppendCommandArgv(mine->redis, 5, copies, sizes) != REDIS_OK)
        return failed(mine->redis, "XADD");
    return ++mine->unanswered == PIPELINE ? take_answers(end) : 0;
}

/* One stream, its records, the record's id and fields: what XREAD answers, or NULL when it is something else. */
static const redisReply *record_at(const redisReply *reply, size_t index, bool *ret_is_last)
{
    const redisReply *stream = reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 ? reply->element[0] : NULL;
    const redisReply *records = stream && stream->type == REDIS_REPLY_ARRAY && stream->elements == 2 ? stream->element[1] : NULL;

    if (!records || records->type != REDIS_REPLY_ARRAY || index >= records->elements)
        return NULL;
    *ret_is_last = index + 1 == records->elements;
    const redisReply *record = records->element[index];
    return record->type == REDIS_REPLY_ARRAY && record->elements == 2 && record->element[1]->type == REDIS_REPLY_ARRAY &&
                   record->element[1]->elements == VALUE_FIELDS
               ? record
               : NULL;
}

static const void *receive(struct peer_end *end)
{
    struct redis_end *mine = (struct redis_end *)end;
    bool is_last = false;

    while (!mine->reply) {
        mine->reply =
            redisCommand(mine->redis, "XREAD COUNT 256 BLOCK 10000 STREAMS %s %s", end->channel ? "back" : "there", mine->after);
        mine->next = 0;
        if (mine->reply && mine->reply->type == REDIS_REPLY_NIL) { /* nothing came for so long */
            freeReplyObject(mine->reply);
            mine->reply = NULL;
        } else if (!mine->reply) {
            break;
        }
    }
    const redisReply *record = mine->reply ? record_at(mine->reply, mine->next, &is_last) : NULL;
    const redisReply *value = record ? record->element[1]->element[1] : NULL;
    if (!value || value->len != end->value_size) {
        failed(mine->redis, "XREAD");
        return NULL;
    }
    memcpy(end->value, value->str, end->value_size); /* it is not aligned for words */
    mine->next++;
    if (is_last) {
        snprintf(mine->after, sizeof mine->after, "%s", record->element[0]->str);
        freeReplyObject(mine->reply);
        mine->reply = NULL;
    }
    return end->value;
}

static const struct peer_calls calls = {.end_size = sizeof(struct redis_end),
                                        .prepare = prepare,
                                        .open = open_connection,
                                        .claim = claim,
                                        .send = send_value,
                                        .flush = take_answers,
                                        .receive = receive};

static PAYLOAD_CLONES int work(void *run, uint32_t index)
{
    return peer_work(&calls, run, index);
}

const struct peer peer_redis = {
    .name = "Redis streams",
    .how = "a server of its own without persistence, Unix socket; XADD in pipelines of 64, XREAD of up to 256",
    .producers_max = CREW_MAX,
    .consumers_max = CREW_MAX,
    .bytes_max = (uint64_t)256 << 20,
    .start = start,
    .stop = stop,
    .program = "redis-server",
    .work = work,
    .calls = &calls};
