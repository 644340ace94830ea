// Requests that must be refused: bad syntax, bad versions, bad Host, bad targets.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { chapter } from './lib/cases.mjs';
import { bytes, req } from './lib/raw.mjs';
import { start } from './lib/server.mjs';

let server;
before(async () => { server = await start(); });
after(() => server?.stop());
const it = () => server;

// Every head is followed by a good request that must never be answered.
const bad = (text) => text + req('GET /livez HTTP/1.1', 'Host: smuggled');
const field = (line) => bad(req('GET /livez HTTP/1.1', 'Host: a', line));
const line = (text) => bad(req(text, 'Host: a'));

chapter('malformed heads', it, { want: 400, then: 'close' }, [
  { name: 'bare LF everywhere (9112 2.2)', send: bad('GET /livez HTTP/1.1\nHost: a\n\n') },
  { name: 'bare LF after the request line', send: bad('GET /livez HTTP/1.1\nHost: a\r\n\r\n') },
  { name: 'bare LF after a field', send: bad('GET /livez HTTP/1.1\r\nHost: a\nX: y\r\n\r\n') },
  { name: 'bare LF at the end of the head', send: bad('GET /livez HTTP/1.1\r\nHost: a\r\n\n') },
  { name: 'bare CR in the request line', send: bad('GET /livez\r HTTP/1.1\r\nHost: a\r\n\r\n') },
  { name: 'bare CR in a value', send: field('X: a\rb') },
  { name: 'bare CR as a line end', send: bad('GET /livez HTTP/1.1\rHost: a\r\r') },
  { name: 'CR CR LF', send: bad('GET /livez HTTP/1.1\r\nHost: a\r\r\n\r\n') },
  { name: 'obs-fold with a space (9112 5.2)', send: field('X: a\r\n b') },
  { name: 'obs-fold with a tab', send: field('X: a\r\n\tb') },
  { name: 'obs-fold of Host', send: bad('GET /livez HTTP/1.1\r\nHost:\r\n a\r\n\r\n') },
  { name: 'a space before the first field (9112 2.2)', send: bad('GET /livez HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n') },
  { name: 'a space before the colon (9112 5.1)', send: field('X : a') },
  { name: 'a tab before the colon', send: field('X\t: a') },
  { name: 'a space inside a name', send: field('X Y: a') },
  { name: 'no colon', send: field('X') },
  { name: 'no name', send: field(': a') },
  { name: 'a separator in a name', send: field('X(Y): a') },
  { name: 'non-ASCII in a name', send: field('X\xe9: a') },
  { name: 'NUL in a name', send: field('X\0Y: a') },
  { name: 'NUL in a value (9110 5.5)', send: field('X: a\0b') },
  { name: 'NUL in the target', send: line('GET /livez\0 HTTP/1.1') },
  { name: 'NUL in the method', send: line('GE\0T /livez HTTP/1.1') },
  { name: 'a control byte in a value', send: field('X: a\x01b') },
  { name: 'an escape byte in a value', send: field('X: \x1b[31m') },
  { name: 'DEL in a value', send: field('X: a\x7fb') },
  { name: 'two spaces in the request line', send: line('GET  /livez HTTP/1.1') },
  { name: 'two spaces before the version', send: line('GET /livez  HTTP/1.1') },
  { name: 'a tab in the request line', send: line('GET\t/livez\tHTTP/1.1') },
  { name: 'a space before the method', send: line(' GET /livez HTTP/1.1') },
  { name: 'a space after the version', send: line('GET /livez HTTP/1.1 ') },
  { name: 'no target', send: line('GET HTTP/1.1') },
  { name: 'a separator in the method', send: line('GET(/) /livez HTTP/1.1') },
  { name: 'an empty method', send: line('/livez HTTP/1.1') },
  { name: 'a TLS greeting', send: bytes('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + 'x'.repeat(40)) },
  { name: 'a line of noise', send: '\x00\xff\xfe\x01nonsense\r\n\r\n' },
  { name: 'JSON instead of HTTP', send: '{"model":"echo"}\r\n\r\n' },
  { name: 'a response instead of a request', send: bad('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'), want: '400|501' },
]);

chapter('versions and methods', it, { then: 'either' }, [
  { name: 'no version, as in HTTP/0.9', send: 'GET /livez\r\n\r\n', want: '400|505', then: 'close' },
  ...['HTTP/0.9', 'HTTP/1.2', 'HTTP/1.9', 'HTTP/2.0', 'HTTP/3.0', 'HTTP/9.9'].map((v) =>
    ({ name: v, send: line(`GET /livez ${v}`), want: 505, then: 'close' })),
  ...['HTTP/11', 'HTTP/1.10', 'HTTP/01.1'].map((v) => ({ name: v, send: line(`GET /livez ${v}`), want: '400|505', then: 'close' })),
  ...['http/1.1', 'HTTP/1', 'HTTP/1.', 'HTTP/.1', 'HTTP/1.1x', 'HTTP/1,1', 'HTTP 1.1', 'HTTPS/1.1',
    'HTTP/-1.1', 'HTTP/1.\xb9'].map((v) => ({ name: JSON.stringify(v), send: line(`GET /livez ${v}`), want: 400, then: 'close' })),
  { name: 'the HTTP/2 preface', send: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', want: '400|501|505', then: 'close' },
  { name: 'RTSP', send: bad(req('DESCRIBE rtsp://a/b RTSP/1.0', 'CSeq: 1', 'Host: a')), want: '400|501|505', then: 'close' },
  { name: 'RTSP in a GET', send: line('GET /livez RTSP/1.0'), want: '400|505', then: 'close' },
  { name: 'ICE', send: bad(req('SOURCE /a ICE/1.0', 'Host: a')), want: '400|501|505', then: 'close' },
  { name: 'ICE in a GET', send: line('GET /livez ICE/1.0'), want: '400|505', then: 'close' },
  { name: 'CONNECT', send: bad(req('CONNECT a.test:443 HTTP/1.1', 'Host: a.test:443')), want: 501, then: 'close' },
  ...['BREW', 'get', 'Get', 'GETX', 'GE', 'G', "!#$%&'*+-.^_`|~", 'X'.repeat(40)].map((m) =>
    ({ name: `method ${m}`, send: req(`${m} /livez HTTP/1.1`, 'Host: a'), want: 501 })),
  { name: 'method PROPFIND', send: req('PROPFIND /livez HTTP/1.1', 'Host: a'), want: '405|501' },
  { name: 'method TRACE', send: req('TRACE /livez HTTP/1.1', 'Host: a'), want: '405|501' },
  { name: 'method PATCH', send: req('PATCH /livez HTTP/1.1', 'Host: a', 'Content-Length: 0'), want: 405 },
  { name: 'method DELETE', send: req('DELETE /livez HTTP/1.1', 'Host: a'), want: 405, then: 'open' },
  { name: 'an unknown method with a body hides no request', send: bad(req('BREW /livez HTTP/1.1', 'Host: a', 'Content-Length: 3') + 'abc'),
    want: 501, then: 'close' },
]);

const host = (...values) => bad(req('GET /livez HTTP/1.1', ...values.map((v) => `Host: ${v}`)));

chapter('Host (9112 3.2)', it, { want: 400, then: 'close' }, [
  { name: 'missing', send: host() },
  { name: 'twice', send: host('a', 'b') },
  { name: 'twice the same', send: host('a', 'a') },
  { name: 'twice, once empty', send: host('a', '') },
  { name: 'a list', send: host('a.test, b.test') },
  ...['a b', 'a/b', 'a?b', 'a#b', 'a\\b', 'a"b', '<a>', 'a^b', 'a|b', '{a}', 'http://a', 'a\xe9', '\xe4\xb8\xad.test', 'a%', 'a%zz'].map((v) =>
    ({ name: `bad characters: ${JSON.stringify(v)}`, send: host(v) })),
  { name: 'userinfo', send: host('user@a.test') },
  { name: 'userinfo and password', send: host('user:secret@a.test:80') },
  { name: 'a port too big', send: host('a.test:65536') },
  { name: 'a port far too big', send: host('a.test:18446744073709551696') },
  { name: 'a port with letters', send: host('a.test:80x') },
  { name: 'a port below zero', send: host('a.test:-1') },
  { name: 'two ports', send: host('a.test:80:90') },
  { name: 'IPv6 without brackets', send: host('::1') },
  { name: 'IPv6 not closed', send: host('[::1') },
  { name: 'IPv6 with bad digits', send: host('[::zz]') },
  { name: 'something after IPv6', send: host('[::1]x') },
  { name: 'an IPv6 zone', send: host('[fe80::1%eth0]') },
  { name: 'a space before the colon', send: bad('GET /livez HTTP/1.1\r\nHost : a\r\n\r\n') },
  { name: 'empty: served or refused, but clearly', send: req('GET /livez HTTP/1.1', 'Host:'), want: '200|400', then: 'either' },
  { name: 'missing while absolute-form names it', send: bad(req('GET http://a/livez HTTP/1.1')) },
  { name: 'bad while absolute-form names it', send: bad(req('GET http://a/livez HTTP/1.1', 'Host: a b')) },
]);

const target = (t) => line(`GET ${t} HTTP/1.1`);

chapter('targets', it, { want: 400, then: 'close' }, [
  { name: 'no slash before', send: target('livez') },
  { name: 'a backslash', send: target('\\livez') },
  { name: 'a fragment', send: target('/livez#top') },
  { name: 'a fragment after a query', send: target('/livez?a#b') },
  { name: 'a fragment in absolute-form', send: target('http://a/livez#b') },
  { name: 'raw non-ASCII', send: target('/\xe4\xb8\xad') },
  { name: 'raw non-ASCII in a query', send: target('/livez?q=\xe4\xb8\xad') },
  { name: 'a space', send: target('/li vez') },
  { name: 'a control byte', send: target('/livez\x01') },
  { name: 'DEL', send: target('/livez\x7f') },
  { name: 'a quote', send: target('/livez"') },
  { name: 'angle brackets', send: target('/<script>') },
  { name: 'a lone percent sign', send: target('/livez%') },
  { name: 'percent and one digit', send: target('/livez%4') },
  { name: 'percent and no digits', send: target('/livez%zz') },
  { name: '* with GET (9112 3.2.4)', send: target('*') },
  { name: 'authority-form with GET (9112 3.2.3)', send: target('a.test:80') },
  { name: 'absolute-form without a host (9110 4.2.1)', send: target('http:///livez') },
  { name: 'absolute-form with userinfo (9110 4.2.4)', send: target('http://user@a/livez') },
  { name: 'absolute-form with a bad port', send: target('http://a:x/livez') },
  { name: 'absolute-form with one slash', send: target('http:/livez') },
  { name: 'absolute-form of another scheme', send: target('ftp://a/livez'), want: '400|404', then: 'either' },
]);

// Paths that must never reach another route than the one they spell.
chapter('paths in disguise', it, { want: '400|404', then: 'either' },
  ['/%00', '/livez%00', '/v1/models/%00', '/v1/models/echo%00', '/v1/models/echo%0d%0aX:%20y', '/./livez', '/v1/../livez', '/../livez',
    '/v1/models/../../livez', '/v1/models/..%2f..%2flivez', '/v1/models/%2e%2e', '/v1//models', '//a.test/livez', '/livez;a=b', '/livez%20',
    '/livez%2f', '/v1/models/%ff%fe', '/v1/models/echo%2f', '/v1/models/' + 'x'.repeat(4000)].map((path) => ({
    name: path.slice(0, 60), send: req(`GET ${path} HTTP/1.1`, 'Host: a'),
    check: ([r]) => assert.doesNotMatch(r.body.toString('latin1'), /[\x00-\x08\x0b-\x1f]/),
  })));
