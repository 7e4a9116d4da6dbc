/* use.c: the smallest C program against an installed Spate.
 *
 * Built by run.sh beside it (C99, pedantic) and by CMakeLists.txt; exit status 0 when the library answers. */
#include <spate/inspect.h>
#include <spate/spate.h>
#include <string.h>

int main(void)
{
    return strcmp(spate_version(), "0.1.0") == 0 && spate_partition_of("abc", 3, 1) == 0 ? 0 : 1;
}
