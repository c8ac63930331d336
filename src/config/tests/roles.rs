//! What is wrong with roles and tenants.

use super::errors;

#[test]
fn errors_of_roles_and_tenants_name_key_value_and_remedy() {
    for (content, line) in [
        (
            "roles: {a: {rpcs: {allow: [SessionService/Hangup, Hangup]}}}",
            "roles.a.rpcs.allow[1]: `Hangup` fits no RPC; write Service/Method, such as SessionService/Hangup, with * for any characters (switchgate.yaml)",
        ),
        (
            "roles: {a: {commands: {deny: ['sofia profile']}}}",
            "roles.a.commands.deny[0]: `sofia profile` is no name; write one word, with * for any characters (switchgate.yaml)",
        ),
        (
            "roles: {a: {command: [x]}}",
            "roles.a.command: is no key; the keys here are `rpcs`, `nodes`, `commands`, `applications`, `expand` (switchgate.yaml)",
        ),
        (
            "tenants: {a: {variable: 'x y', value: z}}",
            "tenants.a.variable: `x y` is no name of a channel variable; write letters, digits, _ and -, at most 128, such as domain_name (switchgate.yaml)",
        ),
        (
            "tenants: {a: {variable: x, value: 'a b'}}",
            "tenants.a.value: `a b` is no value that tells a tenant; write letters, digits and _ - . @ +, at most 256, such as acme.example.com (switchgate.yaml)",
        ),
        (
            "tenants: {a: {variable: x, value: y}, b: {variable: X, value: y}}",
            "tenants.b: has the variable and the value of tenants.a; give each tenant a value of its own (switchgate.yaml)",
        ),
    ] {
        assert_eq!(errors(content), [line], "{content}");
    }
}
