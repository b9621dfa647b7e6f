# Certificates, made and looked at. SPDX-License-Identifier: LGPL-2.1-or-later
import os
import socket
import ssl
import subprocess

from .ports import HOST


def self_signed(directory, name):
    """A certificate by itself for this host, made by openssl; returns its two files and its bytes."""
    certificate, key = (os.path.join(directory, f"{name}-{part}.pem") for part in ("cert", "key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=test", "-addext", f"subjectAltName=IP:{HOST}", "-keyout", key,
                    "-out", certificate], check=True, capture_output=True)
    with open(certificate, encoding="ascii") as file:
        return certificate, key, ssl.PEM_cert_to_DER_cert(file.read())


def shown(port, version=None):
    """The certificate that a server shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    with socket.create_connection((HOST, port), 5) as bare, context.wrap_socket(bare) as secure:
        return secure.getpeercert(binary_form=True)
