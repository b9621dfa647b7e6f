# Kamailio as somebody else's SIP server. SPDX-License-Identifier: LGPL-2.1-or-later
"""A registrar and proxy with two users, `trunk1` (ours) and `phone`. It asks everybody for digest
credentials; `numbers` say which user a number is for. 302 moves to the number that follows."""

import os
import re

from .ports import HOST, free_port
from .process import Process

REALM = "carrier.test"
_CONFIG = """\
debug=2
log_stderror=yes
children=2
disable_tcp=yes
dns=no
listen=udp:{host}:{port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("registrar", "min_expires", {min_expires})
modparam("registrar", "max_expires", {max_expires})
modparam("registrar", "default_expires", {max_expires})

request_route {{
    xlog("L_NOTICE", "SEEN $rm $rU from $fU@$fd ua $ua pai $hdr(P-Asserted-Identity) expires $hdr(Expires)\\n");
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route() || is_method("ACK")) t_relay();
        exit;
    }}
    t_check_trans();
    $var(password) = "";
    if ($au == "trunk1") $var(password) = "{password}";
    if ($au == "phone") $var(password) = "ph0ne";
    if (is_method("REGISTER")) {{
        if ($var(password) == "" || !pv_www_authenticate("{realm}", "$var(password)", "0")) {{
            www_challenge("{realm}", "0");
            exit;
        }}
        save("location");
        xlog("L_NOTICE", "REGISTERED $au expires $hdr(Expires)\\n");
        exit;
    }}
    if (is_method("INVITE")) {{
        if ($var(password) == "" || !pv_proxy_authenticate("{realm}", "$var(password)", "0")) {{
            proxy_challenge("{realm}", "0");
            exit;
        }}
        consume_credentials();
        if ($rU =~ "^302") {{
            $rU = $(rU{{s.substr,3,0}});
            append_to_reply("Contact: <$ru>\\r\\n");
            sl_send_reply("302", "Moved Temporarily");
            exit;
        }}
        record_route();
    }}
{numbers}
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    t_relay();
}}
"""


class Kamailio:
    PASSWORD = "s3cret"

    def __init__(self, workspace, numbers, min_expires=60, max_expires=3600):
        self.port = free_port()
        table = "\n".join(f'    if ($rU == "{number}") $rU = "{user}";'
                          for number, user in numbers.items())
        directory = os.path.dirname(workspace.file("kamailio", "x"))
        config = workspace.write("kamailio/kamailio.cfg", _CONFIG.format(
            host=HOST, port=self.port, realm=REALM, password=self.PASSWORD, numbers=table,
            min_expires=min_expires, max_expires=max_expires))
        self.process = Process("kamailio", ["/usr/sbin/kamailio", "-DD", "-E", "-f", config, "-Y", directory,
                                            "-m", "16", "-M", "4", "-w", directory],
                               workspace.file("kamailio.log"), cwd=directory)
        self.process.wait_log(r"Listening on|\(main\)|handle_sigs|server is now", 20)

    @property
    def address(self):
        return f"{HOST}:{self.port}"

    def seen(self, method):
        """[(number, from user, from host, asserted identity)] of the requests of one method."""
        return re.findall(rf"SEEN {method} (\S+) from ([^@]*)@(\S+) ua .*? pai (.*?) expires",
                          self.process.log())

    def registrations(self, user):
        """The Expires of each REGISTER of this user that was let in."""
        return re.findall(rf"REGISTERED {user} expires (\S+)", self.process.log())

    def stop(self):
        return self.process.stop()
