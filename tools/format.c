/* format.c: compiles and renders kcat's format strings (tokens: see format.h).
 *
 * Owns nothing: literals stay where they were typed, in argv. Called by consume.c on every record, so nothing is allocated. */
#include "format.h"

#include <string.h>

#include "cli/output.h"

static struct format_piece *add_piece(struct format *format, char token)
{
    struct format_piece *piece = &format->pieces[format->count++];
    *piece = (struct format_piece){.token = token};
    return piece;
}

/* add_byte: to the literal that ends the format so far. Literals are decoded in place; what is written never overtakes what is read. */
static void add_byte(struct format *format, char byte, char *place)
{
    struct format_piece *piece = format->count != 0 ? &format->pieces[format->count - 1] : NULL;
    if (piece == NULL || piece->token != 0) {
        piece = add_piece(format, 0);
        piece->literal.data = place;
    }
    piece->literal.data[piece->literal.size++] = byte;
}

const char *set_format(void *target, char *text)
{
    struct format *format = target;
    const char *rest = text;
    format->count = 0;
    while (*rest != '\0') {
        char *place = text + (rest - text);
        int byte = (unsigned char)*rest++;
        char token = 0;
        if (format->count >= FORMAT_PIECES_MAX - 1)
            return "it has too many tokens";
        if (byte == '\\') {
            byte = parse_escape(&rest);
            if (byte < 0)
                return "after a backslash one of n r t 0 \\ xHH is expected";
        } else if (byte == '%') {
            token = *rest++;
            if (token == '\0' || strchr("tpoTkKsSRh%", token) == NULL)
                return "after a percent sign one of t p o T k K s S R h % is expected";
        }
        if (token == 0 || token == '%')
            add_byte(format, (char)byte, place);
        else
            add_piece(format, token);
    }
    return NULL;
}

void format_default(struct format *format, struct bytes key_delimiter, struct bytes delimiter)
{
    format->count = 0;
    if (key_delimiter.data != NULL) {
        add_piece(format, 'k');
        add_piece(format, 0)->literal = key_delimiter;
    }
    add_piece(format, 's');
    add_piece(format, 0)->literal = delimiter;
}

/* write_field: bytes of a record; null is nothing, or the word NULL. */
static void write_field(const struct format *format, const void *data, size_t size)
{
    if (data != NULL)
        output_write(data, size);
    else if (format->show_null)
        output_write("NULL", 4);
}

static bool write_headers(const struct format *format, const struct spate_record *record)
{
    struct spate_header header;
    for (uint32_t i = 0; i < record->headers_count; i++) {
        if (spate_record_header(record, i, &header) != 0)
            return false;
        output_write(",", i != 0);
        output_write(header.name, header.name_size);
        output_write("=", 1);
        write_field(format, header.value, header.value_size);
    }
    return true;
}

static void write_size_binary(const struct spate_record *record)
{
    uint32_t size = record->value != NULL ? record->value_size : UINT32_MAX;
    const uint8_t bytes[4] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size};
    output_write(bytes, sizeof(bytes));
}

bool format_record(const struct format *format, const char *topic, const struct spate_record *record)
{
    for (const struct format_piece *piece = format->pieces; piece != format->pieces + format->count; piece++) {
        switch (piece->token) {
        case 0: output_write(piece->literal.data, piece->literal.size); break;
        case 's': write_field(format, record->value, record->value_size); break;
        case 'k': write_field(format, record->key, record->key_size); break;
        case 'o': output_number(record->offset); break;
        case 'p': output_number(record->partition); break;
        case 't': output_write(topic, strlen(topic)); break;
        case 'T': output_number(record->timestamp != 0 ? record->timestamp / NS_PER_MS : -1); break;
        case 'S': output_number(record->value != NULL ? (int64_t)record->value_size : -1); break;
        case 'K': output_number(record->key != NULL ? (int64_t)record->key_size : -1); break;
        case 'R': write_size_binary(record); break;
        case 'h':
            if (!write_headers(format, record))
                return false;
            break;
        }
    }
    return true;
}
