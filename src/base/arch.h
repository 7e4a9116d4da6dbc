/* arch.h: everything that differs between processors, in one place.
 *
 * x86-64 and aarch64. Whoever ports Spate elsewhere edits this file and base/crc32c.c, nothing else. */
#ifndef SP_BASE_ARCH_H
#define SP_BASE_ARCH_H

#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Spate's shared memory and disk formats are little-endian"
#endif

/* Words of different writers are kept on different 128-byte pairs: both Intel's adjacent-line prefetcher and Apple/ARM designs with
 * 128-byte lines move two 64-byte lines at a time. */
#define SP_LINE_PAIR 128

/* sp_pause: tell the core that this is a spin loop. */
static inline void sp_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* `yield` is a no-op on most cores; isb waits about as long as x86's pause */
#else
#error "port sp_pause"
#endif
}

/* sp_prefetch_write: ask for a line in exclusive state, so that a load need not fetch it shared first, nor a store wait. */
static inline void sp_prefetch_write(const void *address)
{
#if defined(__x86_64__)
    /* not __builtin_prefetch, which without -mprfchw fetches the line shared; processors that do not know this do nothing */
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)address));
#else
    __builtin_prefetch(address, 1, 3);
#endif
}

/* Sanitizers instrument code that runs before they are ready: no ifunc in such builds. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SP_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SP_SANITIZED 1
#endif
#endif
#if !defined(SP_SANITIZED)
#define SP_SANITIZED 0
#endif

#define SP_LIKELY(x) __builtin_expect(!!(x), 1)
#define SP_UNLIKELY(x) __builtin_expect(!!(x), 0)

#endif
