// use.cpp: the smallest C++ program against an installed Spate.
// Built by run.sh beside it (C++11, pedantic) and by CMakeLists.txt; exit status 0 when the library answers.
#include <spate/inspect.h>
#include <spate/spate.h>
#include <string>

int main()
{
    const std::string major = std::to_string(SPATE_VERSION_MAJOR) + ".";
    return std::string(spate_version()).compare(0, major.size(), major) == 0 && spate_partition_of("abc", 3, 1) == 0 ? 0 : 1;
}
