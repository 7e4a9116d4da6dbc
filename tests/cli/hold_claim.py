#!/usr/bin/env python3
# hold_claim.py: a producer that claims a record and does not commit it, for the tests of `spate stat`, `dump` and `gc`.
#
# Called as `hold_claim.py LIBRARY TOPIC` by inspect.sh; prints "claimed" and then waits to be killed. The structures are those of
# include/spate/spate.h.
import ctypes
import sys
import time


class Record(ctypes.Structure):
    _fields_ = [
        ("partition", ctypes.c_int32),
        ("offset", ctypes.c_int64),
        ("timestamp", ctypes.c_int64),
        ("key", ctypes.c_void_p),
        ("key_size", ctypes.c_uint32),
        ("value", ctypes.c_void_p),
        ("value_size", ctypes.c_uint32),
        ("headers", ctypes.c_void_p),
        ("headers_count", ctypes.c_uint32),
        ("headers_block", ctypes.c_void_p),
        ("headers_block_size", ctypes.c_uint32),
    ]


def main():
    library = ctypes.CDLL(sys.argv[1])
    library.spate_last_error.restype = ctypes.c_char_p
    bus, topic, producer = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    claim = ctypes.create_string_buffer(256)
    record = Record(partition=0, value_size=100)
    for result in (
        library.spate_bus_open(None, None, ctypes.byref(bus)),
        library.spate_topic_open(bus, sys.argv[2].encode(), ctypes.byref(topic)),
        library.spate_producer_open(topic, None, ctypes.byref(producer)),
        library.spate_claim(producer, ctypes.byref(record), claim),
    ):
        if result != 0:
            sys.exit(library.spate_last_error().decode())
    print("claimed", flush=True)
    time.sleep(600)


main()
