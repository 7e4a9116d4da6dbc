/* tsan_canary.c: two threads count in one plain variable; ThreadSanitizer must end it with an error.
 *
 * Registered as a test that must fail, in the preset tsan: otherwise a build that lost the flag would look healthy. */
#include <pthread.h>
#include <stddef.h>

static long counter;

static void *count(void *unused)
{
    (void)unused;
    for (int i = 0; i < 100000; i++) {
        counter++;
    }
    return NULL;
}

int main(void)
{
    pthread_t one, two;
    if (pthread_create(&one, NULL, count, NULL) != 0 || pthread_create(&two, NULL, count, NULL) != 0) {
        return 0;
    }
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    return counter < 0;
}
