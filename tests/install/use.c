/* use.c: the smallest C program against an installed Spate.
 *
 * Built by run.sh beside it (C99, pedantic) and by CMakeLists.txt; exit status 0 when the library answers. */
#include <spate/inspect.h>
#include <spate/spate.h>
#include <string.h>

#define TEXT_OF(x) #x
#define DOTTED(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

int main(void)
{
    const char *version = DOTTED(SPATE_VERSION_MAJOR, SPATE_VERSION_MINOR, SPATE_VERSION_PATCH);
    return strcmp(spate_version(), version) == 0 && spate_partition_of("abc", 3, 1) == 0 ? 0 : 1;
}
