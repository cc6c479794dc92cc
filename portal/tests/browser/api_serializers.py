# A report of a broken content security policy is JSON under a media type of its own (W3C CSP Level 3, 5.3).
import schemathesis

schemathesis.serializer.alias("application/csp-report", "application/json")
