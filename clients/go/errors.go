package switchgate

import (
	"errors"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	switchgatev1 "github.com/switchgate/switchgate/clients/go/gen/switchgate/v1"
)

// errorDomain is that of Switchgate's ErrorInfo; others, as of a proxy, are not looked at.
const errorDomain = "switchgate"

// Error is the status of an RPC with what Switchgate tells beside the code. It wraps the error that the stub returned.
type Error struct {
	// Code is gRPC's.
	Code codes.Code
	// Message is for people.
	Message string
	// Reason is ERROR_REASON_UNSPECIFIED when the error is not the gateway's, but the connection's or a proxy's, and when
	// the gateway is newer and its reason not known here: see ReasonName.
	Reason switchgatev1.ErrorReason
	// ReasonName is the reason as it was sent, such as `CALL_FAILED`.
	ReasonName string
	// Metadata holds all facts by their names.
	Metadata map[string]string
	// RetryAfter says when a repeat is safe; HasRetry whether it is.
	RetryAfter time.Duration
	HasRetry   bool
	// Violations says which fields of the request are wrong.
	Violations []Violation

	cause error
}

// Violation says what is wrong with a field.
type Violation struct {
	// Field is its name, as in the proto files.
	Field string
	// Description says what is wrong and what to write.
	Description string
}

// AsError finds the status in an error of an RPC. False for nil and for errors that are none of gRPC.
func AsError(err error) (*Error, bool) {
	if err == nil {
		return nil, false
	}
	var own *Error
	if errors.As(err, &own) {
		return own, true
	}
	told, ok := status.FromError(err)
	if !ok {
		return nil, false
	}
	e := &Error{Code: told.Code(), Message: told.Message(), cause: err}
	for _, detail := range told.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() != errorDomain {
				continue
			}
			e.ReasonName, e.Metadata = detail.GetReason(), detail.GetMetadata()
			number := switchgatev1.ErrorReason_value["ERROR_REASON_"+e.ReasonName]
			e.Reason = switchgatev1.ErrorReason(number)
		case *errdetails.RetryInfo:
			e.RetryAfter, e.HasRetry = detail.GetRetryDelay().AsDuration(), true
		case *errdetails.BadRequest:
			for _, field := range detail.GetFieldViolations() {
				e.Violations = append(e.Violations, Violation{field.GetField(), field.GetDescription()})
			}
		}
	}
	return e, true
}

// Reason is the reason of an error, ERROR_REASON_UNSPECIFIED when there is none.
func Reason(err error) switchgatev1.ErrorReason {
	if e, ok := AsError(err); ok {
		return e.Reason
	}
	return switchgatev1.ErrorReason_ERROR_REASON_UNSPECIFIED
}

// Cause says why a call failed, HANGUP_CAUSE_UNSPECIFIED when the error is not of a call.
func Cause(err error) switchgatev1.HangupCause {
	if e, ok := AsError(err); ok {
		return e.Cause()
	}
	return switchgatev1.HangupCause_HANGUP_CAUSE_UNSPECIFIED
}

// Error is the code and the message.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.cause.Error()
	}
	return e.Code.String() + ": " + e.Message
}

// Unwrap is the error of the stub.
func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus lets status.FromError and status.Code see through.
func (e *Error) GRPCStatus() *status.Status { return status.Convert(e.cause) }

// Cause is the hangup cause of a call that failed (CALL_FAILED, ENDPOINT_UNUSABLE) or has ended (SESSION_ENDED);
// unspecified where there is none.
func (e *Error) Cause() switchgatev1.HangupCause {
	return switchgatev1.HangupCause(switchgatev1.HangupCause_value["HANGUP_CAUSE_"+e.Metadata["hangup_cause"]])
}

// Q850 is the Q.850 code of the cause, 0 where there is none.
func (e *Error) Q850() int { return e.number("q850") }

// SIPCode is the SIP status with which the call ended, 0 where there is none.
func (e *Error) SIPCode() int { return e.number("sip_code") }

// SessionID names the session that the error is about, empty for none.
func (e *Error) SessionID() string { return e.Metadata["session_id"] }

// JobID names the job that the error is about, empty for none.
func (e *Error) JobID() string { return e.Metadata["job_id"] }

// NodeID names the node that the error is about, empty for none.
func (e *Error) NodeID() string { return e.Metadata["node_id"] }

// FreeSwitchReply is what FreeSWITCH said, to the letter; empty when it was not asked.
func (e *Error) FreeSwitchReply() string { return e.Metadata["freeswitch_reply"] }

// CommandSent says whether FreeSWITCH may still act though the RPC has failed.
func (e *Error) CommandSent() bool {
	return e.Metadata["command_sent"] == "true" || e.Reason == switchgatev1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN
}

func (e *Error) number(name string) int {
	number, err := strconv.Atoi(e.Metadata[name])
	if err != nil {
		return 0
	}
	return number
}
