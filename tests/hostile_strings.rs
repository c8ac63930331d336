// Strings that broke somebody's quoting, for unit tests and live tests (`include!`).
&[
    "plain", "0", "-", "--", "n", "nul", "true", "undef", "UNDEF", "_undef_", "none", "NULL", "x y z",
    "multi word value with, commas and 'quotes' and \"dq\"",
    // spaces, tabs and other white space
    " ", "  ", "a b", "a  b", "a   b  c", " lead", "trail ", "  both  ", "\t", "a\tb", "\ttab\t", " \t ",
    "\u{b}", "a\u{b}", "\u{b}v", "a \u{b}", "\u{b} ", "\u{c}", "\u{a0}", "a\u{a0}", "\u{2028}", "\u{3000}x\u{3000}",
    "                    ",
    // single quotes
    "'", "''", "'''", "''''", "'quoted'", "it's", "it's not 'it'", "' '", " ' ", "' ", " '", "a'b,c'd", "'a,b'",
    "x','y", "','", "=','", "'='", "'a'='b'", "O'Brien, Jim", "''a''", "a''b", "'a", "a'", "''''''''''''''''''''",
    // double quotes
    "\"", "\"\"", "\"quoted\"", "a\"b", "\"a", "a\"", "\"Bob, Esq.\" <sip:bob@x>", "'\"'", "\"'\"", "\"a' b\"",
    // backslashes
    "\\", "\\\\", "\\\\\\", "\\\\\\\\", "a\\b", "end\\", "end\\\\", "\\start", "C:\\new\\table\\run\\src",
    "\\n", "\\r", "\\t", "\\s", "a\\nb", "a\\sb", "\\\\n", "\\\\\\n", "\\nn", "n\\", "\\ ", " \\", "\\s ", " \\s", "\\ a",
    "\\'", "\\'a", "a\\'", "it\\'s", "\\\\'", "'\\", "\\\"", "\\,", "\\|", "\\=", "\\:", "\\{", "{\\}", "\\[", "\\$", "\\x41",
    "\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\", "\\'\\'\\'", "'\\''", "\\'\\\\'",
    // separators of lists
    ",", ",,", "a,b", "a,b,", ",a", "a,b=c,d=e", "a,b'c,d'e", "|", "||", "a|b", "a|b,c|d", "|:", "a|:b", ";", "a;b;c=d",
    ":_:", "a:_:b", ":_:_:", ":_::_:", "::_::", ":_", "_:", ":__:", ":''_:", ":\\_:", "':_:'", ":_:,:_:", "^^", "^^:a=b",
    "^^,", "^^:", ":^^:", "^^ a", "^^^^", "[^^:a=b:c=d]", "!", "a!b", "~", "~x",
    "=", "==", "a=b", "=a", "a=", "a==b", "origination_uuid=1", "a,origination_uuid=1", "x,v=2", "v=1", "x',v='2",
    // braces and brackets
    "{", "}", "{}", "}{", "{{", "}}", "{{}", "{}}", "}}{{", "{ }", "} {", "a{b}c", "a,}b", "{,", ",}", "{a=b}", "{a=b}sofia/x/y",
    "}sofia/internal/evil@example.com", "x}null/y &hangup()", "'}'", "'{'", "{','}", "{\"a\":1,\"b\":[1,{\"c\":null}]}", "}}}}}}}}",
    "{{{{{{{{", "[", "]", "[]", "][", "[[", "]]", "[a=b]", "a[0]", "a]b[c", "[1,2,3]", "[{]}", "<", ">", "<>", "><", "<a=b>",
    "<sip:1000@example.com>;tag=1", "(", ")", "()", ")(", "f(x)", "&park()", "x) &hangup(", "a)b(c", "((", "))",
    // words of FreeSWITCH
    "&", "&&", "&hangup", "ARRAY::a|:b", "ARRAY::a", "ARRAY::", "ARRAY:", " ARRAY::a", "array::a", "xARRAY::y",
    "origination_uuid", "origination_nested_vars=true", "inline", "set:a=b", "m:^:set:a=b^hangup", "unload mod_x",
    "reload mod_event_socket", "unload mod_Event_Socket", "mod_event_socket", "-ERR no reply", "+OK", "-USAGE: x",
    "Content-Length: 5", "Event-Name: CHANNEL_HANGUP", "auth ClueCon", "api status", "\\n\\napi status",
    // expansion
    "$", "$$", "$$$", "a$", "$a", "$ {", "{$", "{$}", "$x{", "%$", "\\$x", "$\\x", "$$\\n", "a\\n$", "\\\\$$", "\\$$x", "$'{",
    "a\\s$b$$c$$$d", "$(id)", "`id`", "$1", "$&", "#{x}",
    "${x}", "$${x}", "${system(id)}", "$\\{x}", "$$\\\\{x}", "\\${x}", "'${x}'", "a${", "${", "$${", "$$$${x}", "${status()}",
    // percent
    "%", "%%", "%41", "%0A", "%0d%0aX: y", "%3A", "%[a=b]", "%[", "%:[a=b]x", "%a[", "%ab[", "%(200,100,440,480)",
    "tone_stream://L=1;%(200,100,440,480)", "%s%n%d", "%é[",
    // URIs and addresses
    "http://x/y?z=1&a=2#f", "sip:a@b;c=d", "sip:1000@[::1]:5060;transport=tcp", "sofia/internal/1000%example.com",
    "user/1000@example.com", "//", "://", "a:b", "/etc/passwd", "file_string:///a.wav!b.wav", "192.0.2.1:5060", "+4930123456",
    "*97", "#", "##", "@", "?", "1000@example.com",
    // control characters
    "\u{1}", "\u{2}", "a\u{1}b", "a\u{2}b", "\u{7}", "\u{7f}", "\u{1b}[0m", "\u{1f}", "\n", "a\nb", "\r\n", "\r", "\0", "a\0b",
    "a\n\napi hupall", "tail\n",
    // other alphabets
    "grüße", "naïve", "é", "日本語", "🙂", "👩‍👩‍👧", "\u{202e}abc", "\u{feff}bom", "ÿ", "\u{10ffff}", "ñ,ñ", "'é'", "é\\", "ж=ж", "İ", "ß",
    "",
]
