//! Every page and every action in one table: who gets which status, and what is sent. `permissions.rs` compares it with
//! the program's routes; the tests that walk all actions take their forms from here.

use std::collections::HashMap;

use keydesk_core::domain::settings::Settings;
use keydesk_core::domain::team::{Team, TeamSpec};
use keydesk_core::forms::key::KeyForm;
use keydesk_core::forms::parts::LimitFields;
use keydesk_core::forms::settings::SettingsForm;
use keydesk_core::forms::team::TeamForm;

use super::forms::{new_key, new_provider, new_team};
use super::support::{Cast, PASSWORD, TestKey, Who};

/// The columns are `Who::ALL`: nobody, owner, admin, admin of the key's team, admin of another team, member who owns the
/// key, member who does not, support, operator without a membership, owner of another organisation.
///
/// 404 is not yours to see, 403 is yours to see but not to do. Anonymous pages go to the sign-in (303); 302 is a page's own
/// redirect. What is not suspended cannot be resumed (409). A search answers 200 and leads to the list where the key
/// is not theirs to see. A new key of the other team admin is refused beside its field (422): the team is not on their list.
///
/// The line below a row says what is sent: an action's fields (`a.b=c` is `form[a][b]`), the parts of a page's address or its
/// `?query`. `<words>` stand for what `Given` has or a probe makes, `+words` for a whole form.
const TABLE: &str = r#"
                                   nobody owner admin  lead other   own  else  supp  oper foreign
GET  /                                303   302   302   302   302   302   302   200   302   302
GET  /sign-in                         200   200   200   200   200   200   200   200   200   200
GET  /sign-in/code                    302   302   302   302   302   302   302   302   302   302
GET  /account                         303   200   200   200   200   200   200   200   200   200
GET  /account/password                303   200   200   200   200   200   200   200   200   200
GET  /account/sessions                303   200   200   200   200   200   200   200   200   200
GET  /account/second-factor           303   200   200   200   200   200   200   200   200   200
GET  /account/second-factor/codes     303   200   200   200   200   200   200   200   200   200
GET  /setup/{token}                   404   404   404   404   404   404   404   404   404   404
     token=0123456789abcdef
GET  /reset/{token}                   200   200   200   200   200   200   200   200   200   200
     token=<reset>
GET  /operator                        303   404   404   404   404   404   404   404   200   404
GET  /operator/overview               303   404   404   404   404   404   404   404   200   404
GET  /operator/new                    303   404   404   404   404   404   404   404   200   404
GET  /operator/audit                  303   404   404   404   404   404   404   404   200   404
GET  /operator/models                 303   404   404   404   404   404   404   404   200   404
GET  /operator/models/new             303   404   404   404   404   404   404   404   200   404
GET  /operator/models/edit            303   404   404   404   404   404   404   404   200   404
     ?id=gpt-5
GET  /operator/models/show            303   404   404   404   404   404   404   404   200   404
     ?id=gpt-5
GET  /operator/models/withdraw        303   404   404   404   404   404   404   404   200   404
     ?id=gpt-5&price=<coming price>
GET  /operator/models/catalogue-price 303   404   404   404   404   404   404   404   200   404
     ?id=<own price>
GET  /operator/models/rerate          303   404   404   404   404   404   404   404   200   404
     ?id=gpt-5
GET  /operator/models/retire          303   404   404   404   404   404   404   404   200   404
     ?id=gpt-5
GET  /operator/providers              303   404   404   404   404   404   404   404   200   404
GET  /operator/providers/new          303   404   404   404   404   404   404   404   200   404
GET  /operator/providers/{id}         303   404   404   404   404   404   404   404   200   404
     id=<provider>
GET  /operator/providers/{id}/retire   303   404   404   404   404   404   404   404   200   404
     id=<provider>
GET  /operator/{org}/created          303   404   404   404   404   404   404   404   200   404
GET  /operator/{org}/suspend          303   404   404   404   404   404   404   404   200   404
GET  /operator/{org}/resume           303   404   404   404   404   404   404   404   409   404
GET  /operator/{org}/balance          303   404   404   404   404   404   404   404   200   404
GET  /support                         303   404   404   404   404   404   404   200   404   404
GET  /doctor                          303   302   302   302   302   302   302   200   200   302
GET  /{org}/doctor                    303   200   200   200   200   200   200   200   404   404
GET  /{org}                           303   200   200   200   200   200   200   200   404   404
GET  /{org}/settings                  303   200   200   403   403   403   403   403   404   404
GET  /{org}/settings/balance          303   200   200   403   403   403   403   403   404   404
GET  /{org}/settings/alerts           303   200   200   403   403   403   403   403   404   404
GET  /{org}/inbox                     303   200   200   200   200   200   200   403   404   404
GET  /{org}/inbox/choices             303   200   200   200   200   200   200   403   404   404
GET  /{org}/spend/check               303   200   200   403   403   403   403   403   404   404
GET  /{org}/audit                     303   200   200   403   403   403   403   403   404   404
GET  /{org}/requests                  303   200   200   200   200   200   200   200   404   404
GET  /{org}/requests/{id}             303   200   200   200   404   200   404   200   404   404
     id=<request>
GET  /{org}/keys                      303   200   200   200   200   200   200   200   404   404
GET  /{org}/spend                     303   200   200   200   200   200   200   200   404   404
GET  /{org}/spend.csv                 303   200   200   200   200   200   200   200   404   404
GET  /{org}/spend-focus.csv           303   200   200   200   200   200   200   200   404   404
GET  /{org}/live-test                 303   200   200   200   200   200   200   403   404   404
GET  /{org}/keys/new                  303   200   200   200   200   403   403   403   404   404
GET  /{org}/keys/bulk                 303   200   200   200   200   200   200   403   404   404
     ?act=revoke&key=<key>
GET  /{org}/keys/{id}                 303   200   200   200   404   200   404   200   404   404
     id=<key>
GET  /{org}/keys/{id}/issued          303   200   200   200   404   200   404   200   404   404
     id=<key>
GET  /{org}/keys/{id}/edit            303   200   200   200   404   403   404   403   404   404
     id=<key>
GET  /{org}/keys/{id}/revoke          303   200   200   200   404   200   404   403   404   404
     id=<key>
GET  /{org}/keys/{id}/disable         303   200   200   200   404   200   404   403   404   404
     id=<key>
GET  /{org}/keys/{id}/secrets/{secret}   303   200   200   200   404   200   404   200   404   404
     id=<key> & secret=<secret>
GET  /{org}/keys/{id}/rotate          303   200   200   200   404   200   404   403   404   404
     id=<key>
GET  /{org}/keys/{id}/extend          303   200   200   200   404   403   404   403   404   404
     id=<expired key>
GET  /{org}/keys/{id}/ask             303   409   409   409   404   200   404   403   404   404
     # Those who may edit a budget have no one to ask.
     id=<asked key>
GET  /{org}/asks                      303   200   200   200   200   200   200   403   404   404
GET  /{org}/asks/new                  303   409   409   409   409   200   200   403   404   404
GET  /{org}/asks/{id}                 303   200   200   200   404   200   404   403   404   404
     id=<ask>
GET  /invite/{token}                  404   404   404   404   404   404   404   404   404   404
     token=0123456789abcdef
GET  /{org}/members                   303   200   200   200   200   403   403   200   404   404
GET  /{org}/members/invite            303   200   200   200   200   403   403   403   404   404
GET  /{org}/members/{id}              303   200   200   200   404   200   404   200   404   404
     id=<key owner>
GET  /{org}/members/{id}/remove       303   200   200   403   404   403   404   403   404   404
     id=<key owner>
GET  /{org}/members/{id}/keys         303   200   200   403   404   404   404   403   404   404
     id=<disabled member>
GET  /{org}/invitations/{id}/issued   303   200   200   200   404   404   404   403   404   404
     id=<invitation>
GET  /{org}/leave                     303   200   200   200   200   200   200   403   404   404
GET  /support/ticket                  303   404   404   404   404   404   404   200   404   404
POST support/ticket                   401   404   404   404   404   404   404   200   404   404
     key=<key>
POST doctor/examine                   401   200   200   200   404   200   404   200   404   404
     org=<org> & key=<key> & request.route=chat & request.model=gpt-5
POST doctor/examine-own               404   404   404   404   404   404   404   404   404   404
     secret=sk-desk-0123456789ABCDEFGHIJKLMNOPQRSTUV4OngPE & request.route= & request.model=
POST support/look-up                  401   404   404   404   404   404   404   200   404   404
     q=<key>
POST spend/check                      401   200   200   403   403   403   403   403   404   404
     org=<org>
POST spend/repair                     401   200   200   403   403   403   403   403   404   404
     org=<org>
POST audit/export                     401   200   200   403   403   403   403   403   404   404
     org=<org> & format=csv
POST requests/export                  401   200   200   200   404   200   404   200   404   404
     org=<org> & key=<key>
POST requests/export-log              401   200   200   200   200   200   200   200   404   404
     org=<org> & status=failed
GET  /{org}/teams                     303   200   200   200   200   200   200   200   404   404
GET  /{org}/teams/new                 303   200   200   403   403   403   403   403   404   404
GET  /{org}/teams/{id}                303   200   200   200   404   200   200   200   404   404
     id=<team>
GET  /{org}/teams/{id}/edit           303   200   200   403   404   403   403   403   404   404
     id=<team>
GET  /{org}/teams/{id}/archive        303   200   200   403   404   403   403   403   404   404
     id=<team>
GET  /{org}/teams/{id}/add            303   200   200   200   404   403   403   403   404   404
     id=<team>
GET  /{org}/teams/{id}/people/{person}   303   200   200   200   404   403   403   403   404   404
     id=<team> & person=<key owner>
POST keys/create                      401   200   200   200   422   403   403   403   404   404
     +key
POST keys/edit                        401   200   200   200   404   403   404   403   404   404
     +key & id=<key> & version=1 & was=<key form>
POST keys/disable                     401   200   200   200   404   200   404   403   404   404
     org=<org> & id=<key>
POST keys/enable                      401   200   200   200   404   403   404   403   404   404
     org=<org> & id=<disabled key>
POST keys/revoke                      401   200   200   200   404   200   404   403   404   404
     org=<org> & id=<key> & name=<key name>
POST keys/extend                      401   200   200   200   404   403   404   403   404   404
     org=<org> & id=<expired key> & version=1 & name=<key name> & expiry=30
POST limits/try                       401   200   200   200   404   403   404   403   404   404
     org=<org> & holder=key & id=<key> & what=requests & amount=60
POST limits/enforce                   401   200   200   200   404   403   404   403   404   404
     org=<org> & holder=key & id=<reporting key> & what=requests
POST limits/remove                    401   200   200   200   404   403   404   403   404   404
     org=<org> & holder=key & id=<reporting key> & what=requests
POST keys/bulk                        401   200   200   200   200   200   200   403   404   404
     # A key that is not theirs is a row of the answer, which says so.
     org=<org> & act=revoke & keys[]=<key>
POST keys/rotate                      401   200   200   200   404   200   404   403   404   404
     org=<org> & id=<key> & from=<secret> & grace.mode=24
POST keys/end-secret                  401   200   200   200   404   200   404   403   404   404
     org=<org> & id=<key> & secret=<previous secret>
POST keys/extend-secret               401   200   200   200   404   200   404   403   404   404
     org=<org> & id=<key> & secret=<previous secret> & grace.mode=168
POST keys/undo-rotation               401   200   200   200   404   200   404   403   404   404
     org=<org> & id=<key> & secret=<previous secret>
POST keys/report-leak                 401   200   200   200   404   200   404   403   404   404
     org=<org> & id=<key> & secret=<secret> & action=rotate
POST asks/budget                      401   409   409   409   404   200   404   403   404   404
     org=<org> & key=<asked key> & budget=key-month & amount=5 & until=reset & reason=Backfill
POST asks/key                         401   409   409   409   409   200   200   403   404   404
     org=<org> & name=<name> & team= & reason=A new shop
POST asks/grant                       401   200   200   200   404   403   404   403   404   404
     org=<org> & id=<ask>
POST asks/refuse                      401   200   200   200   404   403   404   403   404   404
     org=<org> & id=<ask> & why=Use the batch key
POST asks/withdraw                    401   403   403   403   404   200   404   403   404   404
     org=<org> & id=<ask>
POST keys/search                      401   200   200   200   200   200   200   200   404   404
     org=<org> & q=<key> & rest=
POST live-test/run                    401   422   422   422   422   422   422   403   404   404
     # No test calls anything without a secret.
     org=<org> & secret= & protocol=openai
POST keys/find                        401   200   200   200   200   200   200   200   404   404
     org=<org> & q=
POST models/add                       401   404   404   404   404   404   404   404   200   404
     model.id=<name> & model.vendor=Acme & model.route= & model.upstream= & model.input=1.25 & model.output=10 & model.cached=0.125 & model.default_output_tokens=1000
POST models/save                      401   404   404   404   404   404   404   404   200   404
     # As the catalogue that comes with the program has it.
     version=1 & was={} & model.id=gpt-5 & model.vendor=OpenAI & model.input=1.25 & model.output=10 & model.cached=0.125 & model.default_output_tokens=1000
POST models/withdraw-price            401   404   404   404   404   404   404   404   200   404
     id=gpt-5 & price=<coming price>
POST models/catalogue-price           401   404   404   404   404   404   404   404   200   404
     id=<own price>
POST models/rerate                    401   404   404   404   404   404   404   404   200   404
     id=gpt-5 & from=2020-01-01 & to=2020-01-02 & at=current
POST models/retire                    401   404   404   404   404   404   404   404   200   404
     id=mistral-small-latest
POST providers/add                    401   404   404   404   404   404   404   404   200   404
     +provider
POST providers/save                   401   404   404   404   404   404   404   404   200   404
     +provider & id=<provider> & version=1 & was={}
POST providers/test                   401   404   404   404   404   404   404   404   200   404
     id=<provider>
POST providers/route                  401   404   404   404   404   404   404   404   200   404
     id=<provider> & was={"gpt-5-nano": ""} & models[]=gpt-5-nano
POST providers/retire                 401   404   404   404   404   404   404   404   200   404
     id=<provider>
POST orgs/save                        401   200   200   403   403   403   403   403   404   404
     org=<org> & version=1 & was=<settings form> & +settings
POST alerts/read                      401   200   200   200   200   200   200   403   404   404
     org=<org> & id=
POST alerts/choose                    401   200   200   200   200   200   200   403   404   404
     org=<org> & thresholds= & budget=inbox
POST alerts/save                      401   200   200   403   403   403   403   403   404   404
     org=<org> & thresholds=50, 80, 95 & budget=mail & balance=mail & expiry=mail & rotation=mail & rejections=inbox & spike=mail
POST alerts/add-webhook               401   200   200   403   403   403   403   403   404   404
     org=<org> & name=<name> & form=slack & url=https://hooks.example.com/<name>
POST alerts/remove-webhook            401   200   200   403   403   403   403   403   404   404
     org=<org> & id=<webhook>
POST alerts/test-webhook              401   200   200   403   403   403   403   403   404   404
     org=<org> & id=<webhook>
POST orgs/create                      401   404   404   404   404   404   404   404   200   404
     name=<name> & slug= & zone=UTC & email=<name>@example.com
POST orgs/suspend                     401   404   404   404   404   404   404   404   200   404
     org=<org> & reason=Unpaid since August
POST orgs/resume                      401   404   404   404   404   404   404   404   200   404
     org=<suspended org> & reason=Unpaid since August
POST orgs/enter-balance               401   404   404   404   404   404   404   404   200   404
     org=<org> & seq=1 & entry.kind=credit & entry.amount=50 & entry.note=Invoice 7
POST orgs/enforce-balance             401   404   404   404   404   404   404   404   200   404
     org=<org> & enforce=on
POST invitations/invite               401   200   200   200   422   403   403   403   404   404
     org=<org> & email=<name>@nowhere.example & role=member & team=<team> & team_role=member
POST invitations/resend               401   200   200   200   404   403   403   403   404   404
     org=<org> & id=<invitation>
POST invitations/withdraw             401   200   200   200   404   403   403   403   404   404
     org=<org> & id=<invitation>
POST invitations/accept               404   404   404   404   404   404   404   404   404   404
     token=0123456789abcdef & name=<name> & password=walnut ferry 92 lantern
POST invitations/join                 401   404   404   404   404   404   404   404   404   404
     token=0123456789abcdef
POST members/role                     401   200   200   403   404   404   404   403   404   404
     org=<org> & id=<member> & role=admin
POST members/disable                  401   200   200   403   404   404   404   403   404   404
     org=<org> & id=<member>
POST members/enable                   401   200   200   403   404   404   404   403   404   404
     org=<org> & id=<disabled member>
POST members/remove                   401   200   200   403   404   404   404   403   404   404
     org=<org> & id=<member>
POST members/decide                   401   200   200   403   404   404   404   403   404   404
     org=<org> & id=<disabled member> & keys[]=<key> & act=revoke
POST members/leave                    401   409   200   200   200   200   200   403   404   404
     org=<org>
POST teams/create                     401   200   200   403   403   403   403   403   404   404
     +team
POST teams/edit                       401   200   200   403   404   403   403   403   404   404
     +team & id=<own team> & version=1 & was=<own team form>
POST teams/archive                    401   200   200   403   404   403   403   403   404   404
     org=<org> & id=<own team>
POST teams/restore                    401   200   200   404   404   404   404   403   404   404
     org=<org> & id=<archived team>
POST teams/add                        401   200   200   200   404   403   403   403   404   404
     org=<org> & id=<own team> & email=otherteamadmin@example.com & role=admin
POST teams/role                       401   200   200   200   404   403   403   403   404   404
     org=<org> & id=<own team> & person=<key owner> & role=admin
POST teams/remove                     401   200   200   200   404   403   403   403   404   404
     org=<org> & id=<own team> & person=<key owner>
POST account/rename                   401   200   200   200   200   200   200   200   200   200
     name=<name>
POST account/password                 401   422   422   422   422   422   422   422   422   422
     # A right one would end the session that asks.
     current=<password> & password=short
POST account/end-session              401   404   404   404   404   404   404   404   404   404
     id=ses_0
POST account/end-other-sessions       401   200   200   200   200   200   200   200   200   200
     confirm=yes
POST second-factor/start              401   200   200   200   200   200   200   200   200   200
     reauth.password=<password>
POST second-factor/turn-on            401   422   422   422   422   422   422   422   422   422
     code=000000
POST second-factor/turn-off           401   409   409   409   409   409   409   409   409   409
     current=<password> & code=000000
POST second-factor/renew-codes        401   409   409   409   409   409   409   409   409   409
     confirm=yes
POST session/code                     401   401   401   401   401   401   401   401   401   401
     code=000000
POST session/setup                    404   404   404   404   404   404   404   404   404   404
     token=0123456789abcdef
POST session/reset                    404   404   404   404   404   404   404   404   404   404
     token=0123456789abcdef
POST session/theme                    401   200   200   200   200   200   200   200   200   200
     theme=dark & page=/
POST session/sign-in                  422   422   422   422   422   422   422   422   422   422
     # No person has this address: a right one would end the session that asks.
     email=<name>@nowhere.example & password=<password>
POST session/sign-out                 401   200   200   200   200   200   200   200   200   200
     confirm=
"#;

pub struct Row {
    pub method: &'static str,
    pub path: &'static str,
    /// One status per caller of `Who::ALL`.
    pub expected: Vec<u16>,
    /// What is sent, as written in the table.
    pub sent: &'static str,
}

pub fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in TABLE.lines() {
        if line.starts_with("GET") || line.starts_with("POST") {
            let mut words = line.split_whitespace();
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            let expected: Vec<u16> = words.map(|word| word.parse().unwrap()).collect();
            assert_eq!(expected.len(), Who::ALL.len(), "{line}");
            rows.push(Row { method, path, expected, sent: "" });
        } else if let (Some(row), Some(sent)) = (rows.last_mut(), line.strip_prefix("     "))
            && !sent.starts_with([' ', '#'])
        {
            row.sent = sent;
        }
    }
    rows
}

/// What the words in angle brackets stand for.
pub struct Given(HashMap<&'static str, String>);

impl Given {
    /// The cast's own things; of what a test would have to make first, ids that nothing has.
    pub fn new(cast: &Cast, key: &TestKey, name: &str) -> Self {
        let key_form = KeyForm {
            name: key.name.clone(),
            team: cast.team.id.to_string(),
            scope: "every".into(),
            limits: LimitFields::of(&[], &Default::default()),
            expiry: "never".into(),
            ..Default::default()
        };
        let settings = SettingsForm::of(&Settings::of(&cast.org, Vec::new()));
        let mut given = Self(HashMap::from([
            ("org", cast.org.slug.clone()),
            ("suspended org", cast.org.slug.clone()),
            ("team", cast.team.id.to_string()),
            ("key", key.id.to_string()),
            ("disabled key", key.id.to_string()),
            ("expired key", key.id.to_string()),
            ("asked key", key.id.to_string()),
            ("ask", "ask_00000000000000000000000000000000".to_owned()),
            ("reporting key", key.id.to_string()),
            ("key name", key.name.clone()),
            ("secret", "sec_00000000000000000000000000000000".to_owned()),
            ("previous secret", "sec_00000000000000000000000000000000".to_owned()),
            ("key form", serde_json::to_string(&key_form).unwrap()),
            ("key owner", cast.id(Who::KeyOwner).to_string()),
            ("member", cast.id(Who::Member).to_string()),
            ("disabled member", cast.id(Who::Member).to_string()),
            ("settings form", serde_json::to_string(&settings).unwrap()),
            ("name", name.to_owned()),
            ("password", PASSWORD.to_owned()),
            ("provider", "prov_0".to_owned()),
            ("coming price", "price_00000000000000000000000000000000".to_owned()),
            ("own price", "gpt-0".to_owned()),
            ("request", "req_00000000000000000000000000000000".to_owned()),
            ("invitation", "inv_00000000000000000000000000000000".to_owned()),
            ("webhook", "chan_00000000000000000000000000000000".to_owned()),
        ]));
        given.own_team(&cast.team);
        given
    }

    pub fn set(&mut self, words: &'static str, value: impl ToString) {
        self.0.insert(words, value.to_string());
    }

    /// The team that an action is about.
    pub fn own_team(&mut self, team: &Team) {
        let form = TeamForm::of(&TeamSpec { name: team.name.clone(), ..TeamSpec::default() }, &[]);
        self.set("own team", &team.id);
        self.set("archived team", &team.id);
        self.set("own team form", serde_json::to_string(&form).unwrap());
    }

    fn get(&self, words: &str) -> &str {
        self.0.get(words).unwrap_or_else(|| panic!("<{words}> is not in Given"))
    }

    /// The value with what its words stand for.
    fn fill(&self, value: &str) -> String {
        let Some((before, rest)) = value.split_once('<') else { return value.to_owned() };
        let (words, after) = rest.split_once('>').unwrap();
        format!("{before}{}{}", self.get(words), self.fill(after))
    }

    /// The form of this row.
    pub fn form(&self, sent: &str) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        for part in sent.split(" & ") {
            if let Some(form) = part.strip_prefix('+') {
                let (org, name) = (self.get("org"), self.get("name"));
                let form = match form {
                    "key" => new_key(org, self.get("team"), name),
                    "team" => new_team(org, name),
                    "provider" => new_provider(name),
                    "settings" => {
                        let settings: serde_json::Map<String, serde_json::Value> =
                            serde_json::from_str(self.get("settings form")).unwrap();
                        for (field, value) in settings {
                            let name = format!("form[settings][{field}]");
                            match value.as_object() {
                                None => fields.push((name, value.as_str().unwrap().to_owned())),
                                Some(limit) => fields.extend(limit.iter().map(|(part, value)| {
                                    (format!("{name}[{part}]"), value.as_str().unwrap().to_owned())
                                })),
                            }
                        }
                        continue;
                    }
                    other => panic!("+{other} is not known"),
                };
                fields.extend(form.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
            } else {
                let (field, value) = part.split_once('=').unwrap();
                let field = field.replace("[]", "][").replace('.', "][");
                let field = format!("form[{field}]");
                fields.push((field, self.fill(value)));
            }
        }
        fields
    }

    /// The address of this page.
    pub fn address(&self, row: &Row) -> String {
        if let Some(query) = row.sent.strip_prefix('?') {
            return format!("{}?{}", row.path.replace("{org}", self.get("org")), self.fill(query));
        }
        let mut path = row.path.replace("{org}", self.get("org"));
        for part in row.sent.split(" & ").filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap();
            path = path.replace(&format!("{{{name}}}"), &self.fill(value));
        }
        assert!(!path.contains('{'), "say below {} what its address has", row.path);
        path
    }
}

/// A form for any action that would be accepted from an owner with a live key, as far as one can be made at all.
pub fn fields_for(action: &str, cast: &Cast, key: &TestKey, name: &str) -> Vec<(String, String)> {
    let row = rows().into_iter().find(|row| row.method == "POST" && row.path == action);
    let row = row.unwrap_or_else(|| panic!("{action} is new: add it to the table in routes.rs"));
    Given::new(cast, key, name).form(row.sent)
}

pub fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Every server function, without `/api/`.
pub fn actions() -> Vec<String> {
    let mut actions: Vec<String> = leptos::server_fn::axum::server_fn_paths()
        .map(|(path, _)| {
            path.strip_prefix("/api/").unwrap_or_else(|| panic!("{path} is not under /api/")).into()
        })
        .collect();
    actions.sort();
    actions
}
