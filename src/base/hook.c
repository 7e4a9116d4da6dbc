/* hook.c: the one pointer behind SP_HOOK. It exists in builds with SP_HOOKS=1 only;
 * tests set it before they start threads and never while threads run. */
#include "base/hook.h"

#if defined(SP_HOOKS) && SP_HOOKS
void (*sp_hook)(const char *point);
#else
typedef int sp_hook_unused; /* ISO C wants a declaration in each translation unit */
#endif
