# peers.cmake: which of the peers under bench/peers are built into spate-bench: those whose Debian packages are here. The others are told
# apart at run time (bench/peers.c). None of them is needed for anything else.

# spate_peer(<file> <packages for people> <found> <libraries...>): take the peer's source in, or say that it is left out.
function(spate_peer file packages found)
    if(found)
        target_sources(spate_bench PRIVATE bench/peers/${file})
        target_link_libraries(spate_bench PRIVATE ${ARGN})
    else()
        message(STATUS "spate-bench peers: without ${file} (${packages})")
    endif()
endfunction()

foreach(file IN ITEMS run.c spate.c descriptors.c message_queue.c)
    target_sources(spate_bench PRIVATE bench/peers/${file})
endforeach()

pkg_check_modules(spate_ck QUIET IMPORTED_TARGET ck)
spate_peer(ck.c libck-dev "${spate_ck_FOUND}" PkgConfig::spate_ck)

pkg_check_modules(spate_zeromq QUIET IMPORTED_TARGET libzmq)
spate_peer(zeromq.c libzmq3-dev "${spate_zeromq_FOUND}" PkgConfig::spate_zeromq)

find_path(spate_nng_include nng/nng.h)
find_library(spate_nng_library nng)
mark_as_advanced(spate_nng_include spate_nng_library)
if(spate_nng_include AND spate_nng_library)
    set(spate_nng_found TRUE)
endif()
spate_peer(nng.c libnng-dev "${spate_nng_found}" "${spate_nng_library}")

pkg_check_modules(spate_hiredis QUIET IMPORTED_TARGET hiredis)
spate_peer(redis.c "libhiredis-dev, redis-server" "${spate_hiredis_FOUND}" PkgConfig::spate_hiredis)

find_package(iceoryx_binding_c CONFIG QUIET)
spate_peer(iceoryx.c "libiceoryx-binding-c-dev, iceoryx" "${iceoryx_binding_c_FOUND}" iceoryx_binding_c::iceoryx_binding_c)

pkg_check_modules(spate_cyclone QUIET IMPORTED_TARGET CycloneDDS)
find_program(spate_idlc idlc)
mark_as_advanced(spate_idlc)
if(spate_cyclone_FOUND AND spate_idlc)
    set(spate_cyclone_usable TRUE)
    set(generated ${PROJECT_BINARY_DIR}/peers)
    file(MAKE_DIRECTORY ${generated})
    add_custom_command(OUTPUT ${generated}/cyclone_value.c ${generated}/cyclone_value.h
        COMMAND ${spate_idlc} -l c -o ${generated} ${PROJECT_SOURCE_DIR}/bench/peers/cyclone_value.idl
        DEPENDS bench/peers/cyclone_value.idl VERBATIM)
    # Apart, because it is not held to our warnings.
    add_library(spate_bench_cyclone_value STATIC ${generated}/cyclone_value.c ${generated}/cyclone_value.h)
    target_compile_options(spate_bench_cyclone_value PRIVATE -w)
    target_include_directories(spate_bench_cyclone_value SYSTEM PUBLIC ${generated})
    target_link_libraries(spate_bench_cyclone_value PUBLIC PkgConfig::spate_cyclone)
endif()
spate_peer(cyclone.c "cyclonedds-dev, cyclonedds-tools" "${spate_cyclone_usable}" spate_bench_cyclone_value)
