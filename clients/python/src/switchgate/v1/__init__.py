"""The generated code, all of it under one name: `v1.OriginateRequest`, `v1.SessionServiceStub`."""

from switchgate.v1.call_pb2 import *
from switchgate.v1.call_service_pb2 import *
from switchgate.v1.call_service_pb2_grpc import *
from switchgate.v1.error_reason_pb2 import *
from switchgate.v1.event_pb2 import *
from switchgate.v1.event_service_pb2 import *
from switchgate.v1.event_service_pb2_grpc import *
from switchgate.v1.hangup_cause_pb2 import *
from switchgate.v1.job_pb2 import *
from switchgate.v1.job_service_pb2 import *
from switchgate.v1.job_service_pb2_grpc import *
from switchgate.v1.node_pb2 import *
from switchgate.v1.node_selector_pb2 import *
from switchgate.v1.node_service_pb2 import *
from switchgate.v1.node_service_pb2_grpc import *
from switchgate.v1.session_pb2 import *
from switchgate.v1.session_service_pb2 import *
from switchgate.v1.session_service_pb2_grpc import *
