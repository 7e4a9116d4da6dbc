/* error.h: how a failure becomes a negative errno and a sentence.
 *
 * Every failing path of the library ends in `return sp_fail(-EXXX, "what, which, why; remedy")`. The sentence goes into a
 * thread-local text (there is no handle yet when opening one fails), the number goes to the caller. Called by every module, on
 * any thread, never on a path that succeeds. The public readers of it, spate_last_error and spate_strerror, are described in
 * spate.h. */
#ifndef SP_BASE_ERROR_H
#define SP_BASE_ERROR_H

#define SP_ERROR_TEXT_SIZE 512 /* with the terminating zero; a longer sentence is cut and ends in "..." */

/* sp_fail: keep the sentence of a failure and hand its number on.
 *   error      negative errno value
 *   format     as printf; arguments may point into the previous text
 * Returns      error
 * Threads      any; errno is left as it was */
static inline int sp_failed(int error)
{
    return error;
}
#define sp_fail(error, ...) (sp_fail_text((error), __VA_ARGS__), sp_failed(error)) /* analysers see what it returns */
void sp_fail_text(int error, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

#endif
