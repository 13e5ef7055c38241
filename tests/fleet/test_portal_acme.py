"""The portal's certificate from an authority that speaks ACME (RFC 8555): Pebble, on a machine of its own."""

import json
import sys

import pytest
import trustme
from fleet import lab as labs
from fleet import releases
from fleet.inventory import PASSWORD, USER

DOMAIN = "cams.example.org"
PEBBLE = {
    "listenAddress": "0.0.0.0:14000",
    "managementListenAddress": "127.0.0.1:15000",
    "certificate": "/etc/pebble/cert.pem",
    "privateKey": "/etc/pebble/key.pem",
    "httpPort": 80,
    "tlsPort": 443,
}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_portal_gets_its_certificate_by_acme_and_renews_it(tmp_path):
    key = releases.make_key(tmp_path)
    release = releases.build(tmp_path, "0.1.1", key, "portal/x86_64/cp311")
    ca = trustme.CA()
    with labs.lab() as lab:
        lab.add("server")
        lab.add("authority")
        lab.boot("server", "authority")
        start_authority(lab, ca)
        inventory = tmp_path / "inventory.json"
        inventory.write_text(json.dumps(portal(lab, release, key, ca)))

        lab.play(inventory).ok()
        first = served(lab)
        assert first["names"] == [DOMAIN]
        assert first["version"] == "0.1.1"

        second = lab.play(inventory).ok()
        assert second.changed() == {"server": 0}, second.output
        assert served(lab) == first

        assert lab.ssh("server", "systemctl is-active certbot.timer").strip() == "active"
        lab.ssh("server", "certbot renew --force-renewal --no-random-sleep-on-renew", 120)
        renewed = served(lab)
        assert renewed["names"] == [DOMAIN]
        assert renewed["serial"] != first["serial"]


def start_authority(lab, ca):
    address = lab.machines["authority"].address
    cert = ca.issue_cert(address)
    chain = b"".join(blob.bytes() for blob in cert.cert_chain_pems).decode()
    lab.ssh("authority", f"apt-get install -qq -y pebble >/dev/null && mkdir /etc/pebble && echo "
            f"{lab.machines['server'].address} {DOMAIN} >>/etc/hosts", 120)  # fmt: skip
    files = {
        "config.json": json.dumps({"pebble": PEBBLE}),
        "cert.pem": chain,
        "key.pem": cert.private_key_pem.bytes().decode(),
    }
    for name, text in files.items():
        lab.ssh("authority", f"cat >/etc/pebble/{name} <<'END'\n{text}\nEND")
    # Nonces are good at the first try, and a validation does not wait as long as a real one may.
    lab.ssh("authority", "systemd-run --quiet --unit=pebble --setenv=PEBBLE_VA_NOSLEEP=1 "
            "--setenv=PEBBLE_WFE_NONCEREJECT=0 pebble -config /etc/pebble/config.json")  # fmt: skip


def served(lab):
    """What a browser that trusts the authority gets: the portal's answer and whose certificate it is."""
    address = lab.machines["server"].address
    program = f"""
import json, socket, ssl, time
from cryptography import x509
context = ssl.create_default_context(cadata={authority_roots(lab)!r})
deadline_s = time.monotonic() + 20  # each new certificate starts the portal anew
while True:
    try:
        connection = socket.create_connection(({address!r}, 443), 10)
        break
    except ConnectionRefusedError:
        if time.monotonic() > deadline_s:
            raise
        time.sleep(0.2)
with context.wrap_socket(connection, server_hostname={DOMAIN!r}) as tls:
    cert = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
    tls.sendall(b"GET /healthz HTTP/1.0\\r\\nHost: {DOMAIN}\\r\\n\\r\\n")
    answer = b"".join(iter(lambda: tls.recv(4096), b""))
names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
print(json.dumps({{
    "names": names.get_values_for_type(x509.DNSName),
    "serial": cert.serial_number,
    "version": json.loads(answer.partition(b"\\r\\n\\r\\n")[2])["version"],
}}))
"""
    return json.loads(lab.shop.run(sys.executable, "-c", program))


def authority_roots(lab):
    """Pebble makes new roots at each start and hands them out."""
    program = (
        "import ssl, urllib.request as request; print(request.urlopen('https://127.0.0.1:15000/roots/0', "
        "context=ssl._create_unverified_context()).read().decode())"
    )
    return lab.ssh("authority", f'python3 -c "{program}"')


def portal(lab, release, key, ca):
    address = {name: machine.address for name, machine in lab.machines.items()}
    return {
        "all": {
            "vars": {
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(lab.folder / "id"),
                "portal_users": [{"name": USER, "role": "admin", "password": PASSWORD}],
                "portal_acme_domain": DOMAIN,
                "portal_acme_directory": f"https://{address['authority']}:14000/dir",
                "portal_acme_ca": ca.cert_pem.bytes().decode(),
                "portal_release_dir": str(release),
                "portal_release_public_keys": [key.with_suffix(".pub").read_text().strip()],
                "portal_gate_s": 60,
            },
            "children": {
                group: {"hosts": {"server": {"ansible_host": address["server"]}}}
                for group in ("brokers", "portals")
            },
        }
    }
