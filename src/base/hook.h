/* hook.h: named points inside the protocols where tests may stop a thread, to force one interleaving. Nothing in production
 * builds.
 *
 * A test sets sp_hook (library variant built with SP_HOOKS=1); the names are those of the step tables in ring/ring.h. */
#ifndef SP_BASE_HOOK_H
#define SP_BASE_HOOK_H

#if defined(SP_HOOKS) && SP_HOOKS
extern void (*sp_hook)(const char *point);
#define SP_HOOK(point)      \
    do {                    \
        if (sp_hook)        \
            sp_hook(point); \
    } while (0)
#else
#define SP_HOOK(point) ((void)0)
#endif

#endif
