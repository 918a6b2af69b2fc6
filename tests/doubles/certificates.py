"""TLS for the hosts that TensorFlow's gs:// client has compiled in."""

import ssl
import subprocess
from pathlib import Path

HOSTS = ("www.googleapis.com", "storage.googleapis.com")


def server_context(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Create a self-signed certificate for `HOSTS`; return a server's context, and the certificate.

    Raises FileNotFoundError without the openssl command.
    """
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = ",".join(f"DNS:{host}" for host in HOSTS)
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=loopback", "-addext", f"subjectAltName={names}"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


def tensorflow_variables(url: str, certificate: Path) -> dict[str, str]:
    """Return the environment variables with which TensorFlow sends gs:// requests to the double at `url`."""
    return {
        "https_proxy": url,
        "HTTPS_PROXY": url,
        "no_proxy": "",
        "NO_PROXY": "",
        "CURL_CA_BUNDLE": str(certificate),
        "NO_GCE_CHECK": "true",
        "GOOGLE_AUTH_TOKEN_FOR_TESTING": "token",
    }
