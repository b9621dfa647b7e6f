# SIP messages that are hard to read, after the descriptions of RFC 4475.
# SPDX-License-Identifier: LGPL-2.1-or-later
"""VALID and INVALID map the RFC's names to functions (peer, target) → (call id, bytes). Addresses are
ours instead of the RFC's examples, so that an answer comes back. ANSWERED has what the answer must be
where the RFC leaves no choice, 0 for none: nobody answers a response, and what cannot be read as a
request need not be."""

import itertools

from .hostile_sip import crlf
from .ports import HOST

_numbers = itertools.count(1)
_SDP = "v=0\no=mhandley 29739 7272939 IN IP4 192.0.2.3\ns=-\nc=IN IP4 192.0.2.4\nt=0 0\n" \
       "m=audio 49217 RTP/AVP 0 12\nm=video 3227 RTP/AVP 31\na=rtpmap:31 LPC\n"


def _raw(text, body=""):
    """A template: {name} is the peer's address, {target} the server, {id} the Call-ID."""
    def make(peer, target):
        number = next(_numbers)
        call_id = f"torture{peer.port}.{number}@x"
        data = crlf(text.replace("{name}", peer.name).replace("{target}", target)
                    .replace("{host}", HOST).replace("{id}", call_id)
                    .replace("{n}", str(number)).replace("{length}", str(len(crlf(body)))))
        return call_id, data + crlf(body)
    return make


def _plain(method="OPTIONS", uri="sip:user@{target}", line=None, *, via=None, to="sip:user@{host}",
           from_="<sip:caller@{host}>;tag=33{n}", cseq=None, contact="<sip:caller@{name}>", more="",
           body="", length="{length}", max_forwards="70", version="SIP/2.0"):
    text = (line or f"{method} {uri} {version}") + "\n"
    text += f"Via: {via or 'SIP/2.0/UDP {name};branch=z9hG4bKt{n}'}\n"
    text += f"To: {to}\nFrom: {from_}\nCall-ID: {{id}}\nCSeq: {cseq or '8 ' + method}\n"
    if contact:
        text += f"Contact: {contact}\n"
    if max_forwards is not None:
        text += f"Max-Forwards: {max_forwards}\n"
    if body:
        text += "Content-Type: application/sdp\n" if "Content-Type" not in more else ""
    return _raw(text + more + (f"l: {length}\n" if length is not None else "") + "\n", body)


_LONG = "a" * 1000
VALID = {
    "wsinv": _raw("INVITE sip:vivekg@{target};unknownparam SIP/2.0\nTO :\n sip:vivekg@{host} ;   tag"
                  "    = 1918181833n\nfrom   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@{host}>\n  ;\n"
                  "  tag = 98asjd8\nMaX-fOrWaRdS: 0068\nCall-ID: {id}\nContent-Length   : {length}\n"
                  "cseq: 0009\n  INVITE\nVia  : SIP  /   2.0\n /UDP\n    {name};branch=390skdjuw{n}\n"
                  "s :\nNewFangledHeader:   newfangled value\n continued newfangled value\n"
                  "UnknownHeaderWithUnusualValue: ;;,,;;,;\nContent-Type: application/sdp\n"
                  "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\n  branch  =   z9hG4bK9ikj8  ,\n"
                  " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n z9hG4bK30239\n"
                  "m:\"Quoted string \\\"\\\"\" <sip:jdrosen@{host}> ; newparam =\n      newvalue ;\n"
                  "  secondparam ; q = 0.33\n\n", _SDP),
    "intmeth": _raw("!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't"
                    "+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@{target} SIP/2.0\n"
                    "Via: SIP/2.0/UDP {name};branch=z9hG4bK-.!%66*_+`'~{n}\nTo: \"BEL:\\\x07 NUL:\\\x01"
                    " DEL:\\\x7f\" <sip:1_unusual.URI~(to-be!sure)@{host}>\nFrom: token1~` token2'+_"
                    " token3*%!.- <sip:mundane@{host}>;fromParam''~+*_!.-%=\"\u0440\u0430\u0431\";tag=_"
                    "token~1'+`*%!-.\nCall-ID: {id}\nCSeq: 139122385 !interesting-Method0123456789_*+`"
                    ".%indeed'~\nMax-Forwards: 255\nextensionHeader-!.%*+_`'~:\ufeff\u5927\u505c\u96fb\n"
                    "Content-Length: 0\n\n"),
    "esc01": _plain("INVITE", "sip:sips%3Auser%40example.com@{target}", to="sip:%75se%72@{host}",
                    from_="<sip:I%20have%20spaces@{host}>;tag=938", body=_SDP,
                    contact="<sip:cal%6Cer@{name};%6C%72;n%61me=v%61lue%25%34%31>"),
    "escnull": _plain("REGISTER", "sip:{target}", to="sip:null-%00-null@{host}",
                      from_="sip:null-%00-null@{host};tag=839923423", contact="<sip:%00@{name}>",
                      more="Contact: <sip:%00%00@{name}>\n"),
    "esc02": _plain("RE%47IST%45R", "sip:{target}", to="\"%Z%45\" <sip:resource@{host}>",
                    from_="\"%Z%45\" <sip:resource@{host}>;tag=f232jadfj23"),
    "lwsdisp": _plain(from_="caller<sip:caller@{host}>;tag=323"),
    "longreq": _plain("INVITE", "sip:user@{target}", body=_SDP, to=f"\"{_LONG}\" <sip:user@{{host}}>",
                      from_=f"sip:{_LONG}@{{host}};tag={_LONG};unknown={_LONG}",
                      contact=f"<sip:{_LONG}@{{name}}>",
                      more=f"Unknown-{_LONG}: {_LONG}\nv: SIP/2.0/TCP h1;branch=z9hG4bK1\n" * 3),
    "semiuri": _plain(uri="sip:user;par=u%40example.net@{target}"),
    "transports": _plain(more="".join(f"Via: SIP/2.0/{t} h{i};branch=z9hG4bKx{i}\n" for i, t in
                                      enumerate(("UDP", "SCTP", "TLS", "UNKNOWN", "TCP")))),
    "dblreq": _plain("REGISTER", "sip:{target}", length="0"),
    "zeromf": _plain(max_forwards="0"),
    "noreason": _plain(more="Reason:\nWarning: 399 x \"\"\n"),
    "unksm2": _plain("REGISTER", "sip:{target}", to="isbn:2983792873", contact="<sip:h@{name}>"),
    "unkscm": _plain(uri="nobodyKnowsThisScheme:totallyopaquecontent"),
    "novelsc": _plain(uri="soap.beep://192.0.2.103:3002"),
    "bext01": _plain("INVITE", more="Require: nothingSupportsThis, nothingSupportsThisEither\n"
                                    "Proxy-Require: noProxiesSupportThis\n"),
    "invut": _plain("INVITE", more="Content-Type: application/unknownformat\n", body="<audio/>\n"),
    "regaut01": _plain("REGISTER", "sip:{target}", more="Authorization: NoOneKnowsThisScheme x=y\n"),
    "cparam01": _plain("REGISTER", "sip:{target}", contact="sip:+19725552222@{name};unknownparam"),
    "cparam02": _plain("REGISTER", "sip:{target}", contact="<sip:+19725552222@{name};unknownparam>"),
    "regescrt": _plain("REGISTER", "sip:{target}", contact="<sip:user@{name}?Route=%3Csip:x%3E>"),
    "sdp01": _plain("INVITE", more="Accept: text/nobodyKnowsThis\n"),
    "inv2543": _raw("INVITE sip:UserB@{target} SIP/2.0\nVia: SIP/2.0/UDP {name}\nFrom: <sip:u@{host}>\n"
                    "To: sip:UserB@{host}\nCall-ID: {id}\nCSeq: 1 INVITE\nContact: <sip:u@{name}>\n"
                    "Content-Type: application/sdp\n\n", _SDP),
}
INVALID = {
    "badinv01": _plain("INVITE", contact="\"Joe\" <sip:joe@{name}>;;;;", more="Via: ;,;,;;\n", body=_SDP),
    "clerr": _plain("INVITE", body=_SDP, length="9999"),
    "ncl": _plain("INVITE", body=_SDP, length="-999"),
    "scalar02": _plain("REGISTER", "sip:{target}", cseq="36893488147419103232 REGISTER",
                       max_forwards="300", more="Expires: 10000000000000000000000\n"),
    "scalarlg": _raw("SIP/2.0 503 Service Unavailable\nVia: SIP/2.0/UDP {name};branch=z9hG4bK1\n"
                     "CSeq: 9292394834772304023312 OPTIONS\nCall-ID: {id}\nTo: <sip:u@{host}>;tag=1\n"
                     "From: <sip:u@{host}>;tag=2\nRetry-After: 949302838503028349304023988\n"
                     "Warning: 1812 overture \"x\"\nContent-Length: 0\n\n"),
    "quotbal": _plain("INVITE", to="\"Mr. J. User <sip:j.user@{host}>", body=_SDP),
    "ltgtruri": _plain("INVITE", "<sip:user@{target}>", body=_SDP),
    "lwsruri": _plain("INVITE", "sip:user@{target}; lr", body=_SDP),
    "lwsstart": _plain("INVITE", line="INVITE  sip:user@{target}  SIP/2.0", body=_SDP),
    "trws": _plain(line="OPTIONS sip:user@{target} SIP/2.0  "),
    "escruri": _plain("INVITE", "sip:user@{target}?Route=%3Csip:{host}%3E", body=_SDP),
    "baddate": _plain("INVITE", more="Date: Fri, 01 Jan 2010 16:00:00 EST\n", body=_SDP),
    "regbadct": _plain("REGISTER", "sip:{target}", contact="sip:user@{name}?Route=%3Csip:x%3E"),
    "badaspec": _plain(from_="\"Bell, Alexander\" <sip:a@{host}>;tag=43",
                       to="\"Watson, Thomas\" < sip:t.watson@{host} >"),
    "baddn": _plain(from_="Bell, Alexander <sip:a@{host}>;tag=43"),
    "badvers": _plain(version="SIP/7.0"),
    "mismatch01": _plain(cseq="8 INVITE"),
    "mismatch02": _plain("NEWMETHOD", cseq="8 INVITE"),
    "bigcode": _raw("SIP/2.0 4294967301 better not break the receiver\nVia: SIP/2.0/UDP {name};branch=z"
                    "9hG4bK2\nCSeq: 353494 INVITE\nCall-ID: {id}\nTo: <sip:u@{host}>;tag=1\n"
                    "From: <sip:u@{host}>;tag=2\nContent-Length: 0\n\n"),
    "badbranch": _plain(via="SIP/2.0/UDP {name};branch=z9hG4bK"),
    "insuf": _raw("INVITE sip:user@{target} SIP/2.0\nCSeq: 193942 INVITE\nVia: SIP/2.0/UDP {name};branch="
                  "z9hG4bKi{n}\nContent-Length: {length}\n\n", _SDP),
    "multi01": _plain("INVITE", more="CSeq: 9 OPTIONS\nMax-Forwards: 5\nFrom: <sip:other@{host}>\n"
                                     "To: <sip:other@{host}>\nCall-ID: other\nContact: <sip:o@{name}>\n",
                      body=_SDP),
    "mcl01": _plain("OPTIONS", more="Content-Length: 13\n", body="There's no way to know\n", length="5"),
    "bcast": _raw("SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\nCall-ID: {id}\n"
                  "CSeq: 35 INVITE\nFrom: sip:user@{host};tag=11141343\nTo: sip:user@{host};tag=2229\n"
                  "Content-Length: {length}\nContent-Type: application/sdp\n"
                  "Contact: <sip:user@host28.example.com>\n\n", _SDP),
    "dblrun": _plain("INVITE", from_="<sip:caller@{host}>;tag=1;tag=2;tag=3", body=_SDP),
    "nothing": _raw("OPTIONS sip:user@{target} SIP/2.0\n\n"),
    "no colon": _plain(more="This line has none\n"),
    "nul": _plain(more="X: a\0b\n"),
}
ANSWERED = {
    "longreq": range(200, 600), "zeromf": (200, 483), "badvers": (400, 505),
    "bext01": (420,), "unkscm": (400, 404, 416), "novelsc": (400, 404, 416), "scalar02": (400,),
    "lwsstart": range(200, 600), "trws": range(200, 600), "badaspec": range(200, 600),
    "baddn": range(200, 600), "badbranch": range(200, 600), "mcl01": range(200, 600),
    "no colon": range(200, 600), "nul": range(200, 600), "regescrt": (401,),
    "esc02": range(400, 600), "intmeth": (0, *range(400, 600)),
    "scalarlg": (0,), "bigcode": (0,), "bcast": (0,),
    "lwsruri": (0, *range(400, 600)), "nothing": (0, *range(400, 600)),
}
