"""Eclipse Paho for a test: each line of standard input is a call, and of standard output its answer or what was heard, as JSON."""

import json
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCodes
from paho.mqtt.subscribeoptions import SubscribeOptions

PROPERTIES = [
    "ContentType",
    "CorrelationData",
    "MaximumQoS",
    "MessageExpiryInterval",
    "PayloadFormatIndicator",
    "ReasonString",
    "ReceiveMaximum",
    "ResponseTopic",
    "ServerKeepAlive",
    "SubscriptionIdentifier",
    "TopicAlias",
    "TopicAliasMaximum",
    "UserProperty",
]
saying = threading.Lock()


def say(**line):
    with saying:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def properties_of(kind, values):
    properties = Properties(kind)
    for name, value in (values or {}).items():
        if name == "CorrelationData":
            value = value.encode()
        if name == "UserProperty":
            value = [tuple(pair) for pair in value]
        setattr(properties, name, value)
    return properties


def values_of(properties):
    values = {name: getattr(properties, name) for name in PROPERTIES if hasattr(properties, name)}
    if "CorrelationData" in values:
        values["CorrelationData"] = values["CorrelationData"].decode()
    return values


def code_of(reason):
    return reason if isinstance(reason, int) else reason.value


class Session:
    def __init__(self):
        self.client = None
        self.is5 = False

    def connect(self, call):
        version = call["version"]
        self.is5 = version == mqtt.MQTTv5
        clean = call.get("clean", True)
        client = mqtt.Client(
            client_id=call["id"],
            clean_session=None if self.is5 else clean,
            protocol=version,
            transport=call.get("transport", "tcp"),
            reconnect_on_failure=False,
        )
        self.client = client
        client.on_message = self.on_message
        client.on_publish = lambda _client, _data, _mid: say(answer={})
        if self.is5:
            client.on_connect = lambda _client, _data, flags, reason, properties: self.connected(flags, reason, properties)
            client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: say(answer={"codes": [code_of(each) for each in reasons]})
            client.on_unsubscribe = lambda _client, _data, _mid, _properties, _reasons: say(answer={})
            client.on_disconnect = lambda _client, _data, reason, _properties: say(disconnected=code_of(reason))
        else:
            client.on_connect = lambda _client, _data, flags, reason: self.connected(flags, reason, None)
            client.on_subscribe = lambda _client, _data, _mid, codes: say(answer={"codes": list(codes)})
            client.on_unsubscribe = lambda _client, _data, _mid: say(answer={})
            client.on_disconnect = lambda _client, _data, reason: say(disconnected=reason)
        if "path" in call:
            client.ws_set_options(path=call["path"])
        if "ca" in call:
            client.tls_set(ca_certs=call["ca"], certfile=call.get("certificate"), keyfile=call.get("key"))
        if "user" in call:
            client.username_pw_set(call["user"], call["password"])
        if "will" in call:
            will = dict(call["will"])
            properties = properties_of(PacketTypes.WILLMESSAGE, will.pop("properties", None)) if self.is5 else None
            client.will_set(**will, properties=properties)
        more = {}
        if self.is5:
            more = {"clean_start": clean, "properties": properties_of(PacketTypes.CONNECT, call.get("properties"))}
        client.connect(call["host"], call["port"], 60, **more)
        client.loop_start()

    def connected(self, flags, reason, properties):
        say(answer={"code": code_of(reason), "session": flags["session present"] == 1, "properties": values_of(properties)})

    def on_message(self, _client, _data, message):
        heard = {"topic": message.topic, "text": message.payload.decode(), "qos": message.qos, "retain": bool(message.retain)}
        say(heard=heard, properties=values_of(message.properties) if self.is5 else {})

    def subscribe(self, call):
        if self.is5:
            options = SubscribeOptions(qos=call["qos"], **call.get("options", {}))
            self.client.subscribe(call["filter"], options=options, properties=properties_of(PacketTypes.SUBSCRIBE, call.get("properties")))
        else:
            self.client.subscribe(call["filter"], call["qos"])

    def unsubscribe(self, call):
        self.client.unsubscribe(call["filter"])

    def publish(self, call):
        properties = properties_of(PacketTypes.PUBLISH, call.get("properties")) if self.is5 else None
        self.client.publish(call["topic"], call["text"], call["qos"], call.get("retain", False), properties)

    def disconnect(self, call):
        reason = ReasonCodes(PacketTypes.DISCONNECT, identifier=call["reason"]) if "reason" in call else None
        self.client.disconnect(reason)


session = Session()
for line in sys.stdin:
    call = json.loads(line)
    try:
        getattr(session, call.pop("do"))(call)
    except Exception as error:  # The test judges it.
        say(failed=f"{type(error).__name__}: {error}")
