#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Something that kubectl takes for the API of a cluster: keeps objects in memory, and
# does nothing with them, but for this: a Job is complete at once, and has a pod whose
# log is the file LOG.
#
#   api.py CERTIFICATE KEY LOG REQUESTS
#
# A token "fleet" may create Secrets, and nothing else; "admin" may do everything.
# Prints its port.  REQUESTS gets a line for each request: token, method, path, status.

import http.server
import json
import ssl
import sys
import urllib.parse

certificate, key, log_file, requests_file = sys.argv[1:]
kinds = {
    'v1': {'namespaces': 'Namespace', 'serviceaccounts': 'ServiceAccount',
           'configmaps': 'ConfigMap', 'secrets': 'Secret', 'pods': 'Pod'},
    'batch/v1': {'jobs': 'Job'},
    'forklift.konveyor.io/v1beta1': {'plans': 'Plan'},
    'rbac.authorization.k8s.io/v1': {'roles': 'Role', 'rolebindings': 'RoleBinding'},
}
objects = {}
requests = open(requests_file, 'a', buffering=1)


def status(code, reason):
    return code, {'kind': 'Status', 'apiVersion': 'v1', 'status': 'Failure',
                  'reason': reason, 'message': reason, 'code': code}


def discovery(path):
    if path == '/api':
        return {'kind': 'APIVersions', 'versions': ['v1']}
    if path == '/apis':
        groups = [g.split('/') for g in kinds if '/' in g]
        return {'kind': 'APIGroupList', 'apiVersion': 'v1', 'groups': [
            {'name': g, 'versions': [{'groupVersion': f'{g}/{v}', 'version': v}],
             'preferredVersion': {'groupVersion': f'{g}/{v}', 'version': v}}
            for g, v in groups]}
    for group, of_group in kinds.items():
        if path == ('/api/' if group == 'v1' else '/apis/') + group:
            return {'kind': 'APIResourceList', 'apiVersion': 'v1',
                    'groupVersion': group, 'resources': [
                        {'name': name, 'singularName': kind.lower(), 'kind': kind,
                         'namespaced': kind != 'Namespace',
                         'verbs': ['create', 'delete', 'get', 'list', 'watch']}
                        for name, kind in of_group.items()]}
    return None


def complete(job):
    name = job['metadata']['name']
    spec = job['spec']
    spec.setdefault('selector', {'matchLabels': {'job-name': name}})
    job['status'] = {'succeeded': spec.get('completions', 1),
                     'conditions': [{'type': 'Complete', 'status': 'True'}]}
    namespace = job['metadata']['namespace']
    objects[f'/api/v1/namespaces/{namespace}/pods', f'{name}-0'] = {
        'apiVersion': 'v1', 'kind': 'Pod',
        'metadata': {'name': f'{name}-0', 'namespace': namespace,
                     'labels': {'job-name': name}},
        'spec': {'containers': [{'name': 'main'}]},
        'status': {'phase': 'Succeeded'}}


def merge(item, patch):
    for name, value in patch.items():
        if value is None:
            item.pop(name, None)
        elif isinstance(value, dict) and isinstance(item.get(name), dict):
            merge(item[name], value)
        else:
            item[name] = value


def selected(item, query):
    meta = item['metadata']
    for label in query.get('labelSelector', [''])[0].split(','):
        name, _, value = label.partition('=')
        if label and meta.get('labels', {}).get(name) != value:
            return False
    field = query.get('fieldSelector', [''])[0]
    return not field or field == f'metadata.name={meta["name"]}'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def answer(self):
        url = urllib.parse.urlsplit(self.path)
        path, query = url.path.rstrip('/'), urllib.parse.parse_qs(url.query)
        length = int(self.headers.get('Content-Length') or 0)
        body = self.rfile.read(length)
        token = (self.headers.get('Authorization') or '').removeprefix('Bearer ')
        parent, _, name = path.rpartition('/')
        creates_secret = self.command == 'POST' and name == 'secrets'
        found = discovery(path)
        if token not in ('admin', 'fleet'):
            return status(401, 'Unauthorized')
        if found and self.command == 'GET':
            return 200, found
        if token == 'fleet' and not creates_secret:
            return status(403, 'Forbidden')
        if self.command == 'POST':
            try:
                item = json.loads(body)
            except ValueError:
                return status(415, 'UnsupportedMediaType')
            item['metadata'].setdefault('uid', 'uid')
            if (path, item['metadata']['name']) in objects:
                return status(409, 'AlreadyExists')
            objects[path, item['metadata']['name']] = item
            if item['kind'] == 'Job':
                complete(item)
            return 201, item
        if self.command == 'PATCH' and (parent, name) in objects:
            merge(objects[parent, name], json.loads(body))
            return 200, objects[parent, name]
        if self.command == 'PUT' and (parent, name) in objects:
            objects[parent, name] = json.loads(body)
            return 200, objects[parent, name]
        if self.command == 'DELETE' and (parent, name) in objects:
            return 200, objects.pop((parent, name))
        if self.command == 'GET' and name == 'log':
            with open(log_file) as f:
                return 200, f.read()
        if self.command == 'GET' and (parent, name) in objects:
            return 200, objects[parent, name]
        for group, of_group in kinds.items():
            if self.command == 'GET' and name in of_group and \
               path.startswith(('/api/' if group == 'v1' else '/apis/') + group):
                items = [o for (p, _), o in objects.items()
                         if p == path and selected(o, query)]
                return 200, {'kind': of_group[name] + 'List', 'apiVersion': group,
                             'metadata': {'resourceVersion': '1'}, 'items': items}
        return status(404, 'NotFound')

    def do(self):
        code, reply = self.answer()
        text = isinstance(reply, str)
        data = (reply if text else json.dumps(reply)).encode()
        token = (self.headers.get('Authorization') or '-').removeprefix('Bearer ')
        print(token, self.command, self.path, code, file=requests)
        self.send_response(code)
        self.send_header('Content-Type', 'text/plain' if text else 'application/json')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = do


server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
