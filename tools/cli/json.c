/* json.c: building and writing JSON values (rules: see json.h).
 *
 * Owns nothing. libjansson's "new" setters take over the reference they are given and refuse NULL, so a value that could not be allocated
 * surfaces in json_set, once. */
#include "cli/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/output.h"

static json_t *must(json_t *value)
{
    if (value == NULL)
        tool_out_of_memory();
    return value;
}

json_t *json_new(void)
{
    return must(json_object());
}

void json_set(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        tool_out_of_memory();
}

void json_set_number(json_t *object, const char *name, int64_t value)
{
    json_set(object, name, json_integer(value));
}

void json_set_size(json_t *object, const char *name, uint64_t value)
{
    json_set(object, name, json_integer((json_int_t)value));
}

void json_set_boolean(json_t *object, const char *name, int value)
{
    json_set(object, name, json_boolean(value));
}

void json_set_hex(json_t *object, const char *name, uint64_t value)
{
    json_set(object, name, json_sprintf("0x%016" PRIx64, value));
}

void json_set_id(json_t *object, const char *name, const uint8_t id[16])
{
    char text[33];
    for (size_t i = 0; i < 16; i++)
        snprintf(text + i * 2, 3, "%02x", id[i]);
    json_set(object, name, json_string(text));
}

void json_set_time(json_t *object, const char *name, int64_t ns)
{
    time_t seconds = (time_t)(ns / NS_PER_S);
    struct tm date;
    char text[64];
    bool known = ns > 0 && gmtime_r(&seconds, &date) != NULL && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &date) != 0;
    json_set(object, name, known ? json_sprintf("%s.%03dZ", text, (int)(ns % NS_PER_S / NS_PER_MS)) : json_null());
}

void json_set_text(json_t *object, const char *name, const char *text)
{
    json_set(object, name, text != NULL ? json_text(text) : json_null());
}

json_t *json_text(const char *text)
{
    json_t *value = json_string(text); /* NULL when it is not UTF-8 */
    if (value != NULL)
        return value;
    char *escaped = tool_allocate(strlen(text) * 4 + 1, 1), *out = escaped;
    for (; *text != '\0'; text++)
        out += sprintf(out, (unsigned char)*text < 0x80 ? "%c" : "\\x%02x", (unsigned char)*text);
    value = must(json_string(escaped));
    free(escaped);
    return value;
}

/* -------------------------------------------------------------------------------------------------------------- bytes */

/* base64: a JSON string of the bytes. */
static json_t *base64(const void *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *bytes = data;
    size_t text_size = (size + 2) / 3 * 4;
    char *text = tool_allocate(text_size + 1, 1), *out = text;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
        *out++ = digits[group >> 18];
        *out++ = digits[group >> 12 & 63];
        *out++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[group & 63] : '=';
    }
    json_t *value = must(json_stringn(text, text_size));
    free(text);
    return value;
}

/* plain: a JSON string of the bytes; NULL when they are not UTF-8. */
static json_t *plain(const void *data, size_t size)
{
    return json_stringn(size != 0 ? data : "", size);
}

void json_set_bytes(json_t *object, const char *name, const void *data, size_t size)
{
    json_t *value = data != NULL ? plain(data, size) : json_null();
    if (data == NULL || value != NULL) {
        json_set(object, name, value);
        return;
    }
    char base64_name[64];
    snprintf(base64_name, sizeof(base64_name), "%s_base64", name);
    json_set(object, base64_name, base64(data, size));
}

/* ------------------------------------------------------------------------------------------------------------- record */

enum headers_result { HEADERS_GOOD, HEADERS_NOT_UTF8, HEADERS_DAMAGED };

/* add_headers: kcat's flat list, all plain or all in base64. */
static enum headers_result add_headers(const struct spate_record *record, bool encode, json_t *list)
{
    struct spate_header header;
    for (uint32_t i = 0; i < record->headers_count; i++) {
        if (spate_record_header(record, i, &header) != 0)
            return HEADERS_DAMAGED;
        const void *parts[] = {header.name, header.value};
        const size_t sizes[] = {header.name_size, header.value_size};
        for (int part = 0; part < 2; part++) {
            json_t *value = parts[part] == NULL ? json_null() : (encode ? base64 : plain)(parts[part], sizes[part]);
            if (value == NULL)
                return HEADERS_NOT_UTF8;
            json_array_append_new(list, value);
        }
    }
    return HEADERS_GOOD;
}

/* set_headers: false when they are damaged. */
static bool set_headers(json_t *object, const struct spate_record *record)
{
    json_t *list = must(json_array());
    const char *name = "headers";
    enum headers_result result = add_headers(record, false, list);
    if (result == HEADERS_NOT_UTF8) {
        name = "headers_base64";
        json_array_clear(list);
        result = add_headers(record, true, list);
    }
    json_set(object, name, list);
    return result == HEADERS_GOOD;
}

json_t *json_record(const char *topic, const struct spate_record *record, uint32_t timestamp)
{
    json_t *object = json_new();
    json_set_text(object, "topic", topic);
    json_set_number(object, "partition", record->partition);
    json_set_number(object, "offset", record->offset);
    if (timestamp != SPATE_TIMESTAMP_NONE) {
        json_set_text(object, "tstype", timestamp == SPATE_TIMESTAMP_CALLER ? "create" : "logappend");
        json_set_number(object, "ts", record->timestamp / NS_PER_MS);
    }
    if (record->headers_count != 0 && !set_headers(object, record)) {
        json_decref(object);
        return NULL;
    }
    json_set_bytes(object, "key", record->key, record->key_size);
    json_set_bytes(object, "payload", record->value, record->value_size);
    return object;
}

/* ------------------------------------------------------------------------------------------------------------ writing */

static int append(const char *text, size_t size, void *context)
{
    (void)context;
    output_write(text, size);
    return 0;
}

static void write_and_release(json_t *object, size_t flags)
{
    if (json_dump_callback(object, append, NULL, flags | JSON_ENCODE_ANY) != 0)
        tool_out_of_memory();
    json_decref(object);
}

void json_write(json_t *object)
{
    write_and_release(object, JSON_INDENT(2));
    output_write("\n", 1);
}

void json_write_compact(json_t *object)
{
    write_and_release(object, JSON_COMPACT);
}
