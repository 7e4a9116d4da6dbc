/* show.c: see show.h.
 *
 * Keys, values and headers in quotes with escapes; a record whose headers make no sense is shown all the same. */
#include "show.h"

#include <inttypes.h>

#include "cli/json.h"
#include "cli/output.h"

enum { SHOWN_MAX = 64 }; /* bytes of a key or value shown without `full` */

const char *show_mode(uint32_t mode)
{
    return mode == SPATE_MODE_CONCURRENT ? "concurrent" : mode == SPATE_MODE_EXCLUSIVE ? "exclusive" : "?";
}

const char *show_timestamp(uint32_t timestamp)
{
    static const char *const names[] = {"clock", "caller", "none"};
    return timestamp < 3 ? names[timestamp] : "?";
}

static const char *const states[] = {"?", "committed", "aborted", "claimed", "damaged"};

static const char *state_name(enum spate_record_state state)
{
    return (unsigned)state < sizeof(states) / sizeof(states[0]) ? states[state] : states[0];
}

/* print_bytes: in quotes with escapes, cut unless --full. */
static void print_bytes(const char *label, const void *data, size_t size, bool full)
{
    if (data == NULL) {
        output_print("  %s null", label);
        return;
    }
    size_t shown = full || size <= SHOWN_MAX ? size : SHOWN_MAX;
    output_print("  %s \"", label);
    for (size_t i = 0; i < shown; i++) {
        unsigned char byte = ((const unsigned char *)data)[i];
        if (byte == '"' || byte == '\\')
            output_print("\\%c", byte);
        else if (byte >= ' ' && byte < 0x7f)
            output_write(&byte, 1);
        else
            output_print("\\x%02x", byte);
    }
    output_print(shown < size ? "\"... (%zu bytes)" : "\"", size);
}

static void print_headers(const struct spate_record *record, bool full)
{
    struct spate_header header;
    for (uint32_t i = 0; i < record->headers_count; i++) {
        if (spate_record_header(record, i, &header) != 0) {
            output_print("  headers DAMAGED");
            return;
        }
        print_bytes("header", header.name, header.name_size, full);
        print_bytes("=", header.value, header.value_size, full);
    }
}

void show_record(const struct spate_dump_record *record, uint32_t timestamp, bool full)
{
    output_print("%" PRIu64 "  offset %" PRId64 "  %s  size %" PRIu64 "  stamp %016" PRIx64 "%s  word %016" PRIx64,
                 record->position, record->offset, state_name(record->state), record->size, record->stamp,
                 record->stamp == record->stamp_expected ? "" : "!", record->word);
    if (record->state != SPATE_RECORD_COMMITTED || record->count != 1)
        output_print("  covers %" PRIu32 "  expected %016" PRIx64, record->count, record->stamp_expected);
    if (record->owner_slot >= 0)
        output_print("  producer slot %d", record->owner_slot);
    if (record->state == SPATE_RECORD_COMMITTED) {
        if (timestamp != SPATE_TIMESTAMP_NONE)
            output_print("  time %" PRId64, record->record.timestamp);
        print_bytes("key", record->record.key, record->record.key_size, full);
        print_bytes("value", record->record.value, record->record.value_size, full);
        print_headers(&record->record, full);
    }
    output_write("\n", 1);
}

json_t *show_record_json(const struct spate_dump_record *record, const char *name, uint32_t timestamp)
{
    json_t *row = json_new();
    json_set_size(row, "position", record->position);
    json_set_number(row, "offset", record->offset);
    json_set_text(row, "state", state_name(record->state));
    json_set_number(row, "count", record->count);
    json_set_size(row, "size", record->size);
    json_set_hex(row, "stamp", record->stamp);
    json_set_hex(row, "stamp_expected", record->stamp_expected);
    json_set_hex(row, "word", record->word);
    if (record->owner_slot >= 0)
        json_set_number(row, "owner_slot", record->owner_slot);
    if (record->state == SPATE_RECORD_COMMITTED) {
        json_t *content = json_record(name, &record->record, timestamp);
        json_set(row, "record", content != NULL ? content : json_null()); /* null: damaged, or overwritten while read */
    }
    return row;
}
