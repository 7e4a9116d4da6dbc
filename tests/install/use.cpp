// use.cpp: the smallest C++ program against an installed Spate.
// Built by run.sh beside it (C++11, pedantic) and by CMakeLists.txt; exit status 0 when the library answers.
#include <spate/inspect.h>
#include <spate/spate.h>
#include <string>

int main()
{
    return std::string(spate_version()) == "0.1.0" && spate_partition_of("abc", 3, 1) == 0 ? 0 : 1;
}
