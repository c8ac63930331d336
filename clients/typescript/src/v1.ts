/** The generated code, all of it: messages, their schemas, enums and services. */
export * from "./gen/switchgate/v1/call_pb.js";
export * from "./gen/switchgate/v1/call_service_pb.js";
export * from "./gen/switchgate/v1/error_reason_pb.js";
export * from "./gen/switchgate/v1/event_pb.js";
export * from "./gen/switchgate/v1/event_service_pb.js";
export * from "./gen/switchgate/v1/hangup_cause_pb.js";
export * from "./gen/switchgate/v1/job_pb.js";
export * from "./gen/switchgate/v1/job_service_pb.js";
export * from "./gen/switchgate/v1/node_pb.js";
export * from "./gen/switchgate/v1/node_selector_pb.js";
export * from "./gen/switchgate/v1/node_service_pb.js";
export * from "./gen/switchgate/v1/session_pb.js";
export * from "./gen/switchgate/v1/session_service_pb.js";
