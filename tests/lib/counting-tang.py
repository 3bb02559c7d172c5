#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A Tang server that counts: it hands each request to tangd, and writes a line
# for it when it has come:
#
#   counting-tang.py LOG SECONDS GATE TANGD DIR
#
#   METHOD PATH N        N requests are under way, this one included
#
# It answers after so many seconds, and not as long as there is a file GATE.  The
# first line of LOG has the port.

import socket
import subprocess
import sys
import threading
import time
import os

log, seconds, gate, tangd, folder = sys.argv[1:]
lock = threading.Lock()
under_way = 0
out = open(log, 'w', buffering=1)


def read_request(connection):
    data = b''
    while b'\r\n\r\n' not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, body = data.split(b'\r\n\r\n', 1)
    length = 0
    for line in head.split(b'\r\n')[1:]:
        name, value = line.split(b':', 1)
        if name.lower() == b'content-length':
            length = int(value)
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            return None
        body += more
    return head + b'\r\n\r\n' + body


def serve(connection):
    global under_way
    with connection:
        request = read_request(connection)
        if request is None:
            return
        with lock:
            under_way += 1
            method, path = request.split(b' ')[:2]
            print(method.decode(), path.decode(), under_way, file=out)
        time.sleep(float(seconds))
        while os.path.exists(gate):
            time.sleep(0.01)
        reply = subprocess.run([tangd, folder], input=request,
                               stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL).stdout
        reply = reply.replace(b'\r\n', b'\r\nConnection: close\r\n', 1)
        # The next one may come as soon as this is sent.
        with lock:
            under_way -= 1
        try:
            connection.sendall(reply)
        except OSError:
            pass


with socket.create_server(('127.0.0.1', 0), backlog=128) as server:
    print('port', server.getsockname()[1], file=out)
    while True:
        threading.Thread(target=serve, args=[server.accept()[0]],
                         daemon=True).start()
