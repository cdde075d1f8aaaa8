//! Every event of an account that Meta documents: its field, and what it says.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::BanState;
use crate::simulator::APP;

/// What an event says, about sending or about anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the event of its name; those that are not say so")]
pub enum News {
    VerifiedAccount,
    /// `DISABLED_UPDATE`, `SCHEDULE_FOR_DISABLE`.
    ScheduledForDisable,
    /// `DISABLED_UPDATE`, `DISABLE`.
    Disabled,
    /// `DISABLED_UPDATE`, `REINSTATE`.
    Reinstated,
    /// `ACCOUNT_RESTRICTION` of messages that the business begins, of replies, and of adding numbers.
    Restricted,
    /// `ACCOUNT_RESTRICTION` of messages that the business begins, and of adding numbers.
    RestrictedBusinessInitiated,
    /// `ACCOUNT_RESTRICTION` of replies.
    RestrictedCustomerInitiated,
    /// `ACCOUNT_RESTRICTION` of all that is no message: numbers, calls, templates.
    RestrictedElsewhere,
    /// `ACCOUNT_RESTRICTION` of nothing.
    Unrestricted,
    AccountViolation,
    AccountDeleted,
    AccountOffboarded,
    AccountReconnected,
    PartnerRemoved,
    PartnerAppUninstalled,
    PartnerAdded,
    PartnerAppInstalled,
    AdAccountLinked,
    MmLiteTermsSigned,
    PartnerClientCertificationStatusUpdate,
    AuthIntlPriceEligibilityUpdate,
    BusinessPrimaryLocationCountryUpdate,
    VolumeBasedPricingTierUpdate,
    /// `account_review_update`, as the next three.
    ReviewApproved,
    ReviewRejected,
    ReviewPending,
    ReviewDeferred,
    /// `account_alerts`, as the next two: its severity.
    AlertCritical,
    AlertWarning,
    AlertInformational,
    /// `phone_number_quality_update`, as the next five.
    Flagged,
    Unflagged,
    Upgrade,
    Downgrade,
    Onboarding,
    ThroughputUpgrade,
    /// `business_capability_update`.
    Capability,
    /// `phone_number_name_update`.
    NumberName,
    /// `security`, as the next two.
    PinChanged,
    PinResetRequest,
    PinRequestSuccess,
    /// `message_template_status_update`, `DISABLED`.
    TemplateDisabled,
    /// `user_preferences`.
    Preferences,
    /// `business_status_update`, of which nobody has shown a value.
    BusinessStatus,
}

const BUSINESS_INITIATED: &str = "RESTRICTED_BIZ_INITIATED_MESSAGING";
const CUSTOMER_INITIATED: &str = "RESTRICTED_CUSTOMER_INITIATED_MESSAGING";
const ADD_NUMBERS: &str = "RESTRICTED_ADD_PHONE_NUMBER_ACTION";
const ELSEWHERE: [&str; 7] = [
    ADD_NUMBERS,
    "RESTRICTED_DIRECT_SEND_UTILITY_TEMPLATES",
    "RESTRICTED_UTILITY_TEMPLATES",
    "RESTRICTED_BUSINESS_INITIATED_CALLING",
    "RESTRICTED_USER_INITIATED_CALLING",
    "RESTRICTED_USER_INITIATED_CALLING_CALL_BUTTON_HIDDEN",
    "RESTRICTED_BIZ_INITIATED_AND_USER_INITIATED_CALLING",
];

impl News {
    /// All of them.
    pub const ALL: [Self; 44] = [
        Self::VerifiedAccount,
        Self::ScheduledForDisable,
        Self::Disabled,
        Self::Reinstated,
        Self::Restricted,
        Self::RestrictedBusinessInitiated,
        Self::RestrictedCustomerInitiated,
        Self::RestrictedElsewhere,
        Self::Unrestricted,
        Self::AccountViolation,
        Self::AccountDeleted,
        Self::AccountOffboarded,
        Self::AccountReconnected,
        Self::PartnerRemoved,
        Self::PartnerAppUninstalled,
        Self::PartnerAdded,
        Self::PartnerAppInstalled,
        Self::AdAccountLinked,
        Self::MmLiteTermsSigned,
        Self::PartnerClientCertificationStatusUpdate,
        Self::AuthIntlPriceEligibilityUpdate,
        Self::BusinessPrimaryLocationCountryUpdate,
        Self::VolumeBasedPricingTierUpdate,
        Self::ReviewApproved,
        Self::ReviewRejected,
        Self::ReviewPending,
        Self::ReviewDeferred,
        Self::AlertCritical,
        Self::AlertWarning,
        Self::AlertInformational,
        Self::Flagged,
        Self::Unflagged,
        Self::Upgrade,
        Self::Downgrade,
        Self::Onboarding,
        Self::ThroughputUpgrade,
        Self::Capability,
        Self::NumberName,
        Self::PinChanged,
        Self::PinResetRequest,
        Self::PinRequestSuccess,
        Self::TemplateDisabled,
        Self::Preferences,
        Self::BusinessStatus,
    ];

    /// Whether its entry has a partner's id, and its value names the WABA.
    pub(super) fn is_about_partners(self) -> bool {
        matches!(
            self,
            Self::PartnerRemoved
                | Self::PartnerAppUninstalled
                | Self::PartnerAdded
                | Self::PartnerAppInstalled
                | Self::PartnerClientCertificationStatusUpdate
                | Self::AdAccountLinked
        )
    }

    /// The field of its change.
    pub fn field(self) -> &'static str {
        match self {
            Self::ReviewApproved | Self::ReviewRejected | Self::ReviewPending | Self::ReviewDeferred => {
                "account_review_update"
            }
            Self::AlertCritical | Self::AlertWarning | Self::AlertInformational => "account_alerts",
            Self::Flagged
            | Self::Unflagged
            | Self::Upgrade
            | Self::Downgrade
            | Self::Onboarding
            | Self::ThroughputUpgrade => "phone_number_quality_update",
            Self::Capability => "business_capability_update",
            Self::NumberName => "phone_number_name_update",
            Self::PinChanged | Self::PinResetRequest | Self::PinRequestSuccess => "security",
            Self::TemplateDisabled => "message_template_status_update",
            Self::Preferences => "user_preferences",
            Self::BusinessStatus => "business_status_update",
            _ => "account_update",
        }
    }

    /// The value of its change. `phone`: an id and its display number; `end`: when restrictions end.
    pub(super) fn value(self, phone: (&str, &str), ban_state: BanState, end: Option<&Value>) -> Value {
        let (id, display) = phone;
        let ban = |state: &str| {
            let state = match ban_state {
                BanState::Text => json!(state),
                BanState::List => json!([state]),
                BanState::Several => json!(["SCHEDULE_FOR_DISABLE", "DISABLE", "REINSTATE"]),
            };
            json!({"event": "DISABLED_UPDATE",
                "ban_info": {"waba_ban_state": state, "waba_ban_date": "April 17, 2025"}})
        };
        let restriction = |types: &[&str]| {
            let info: Vec<Value> = types
                .iter()
                .map(|kind| match end {
                    Some(end) => json!({"restriction_type": kind, "expiration": end}),
                    None => json!({"restriction_type": kind}),
                })
                .collect();
            json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": info})
        };
        let event = |name: &str| json!({"event": name});
        let about_app = |name: &str| json!({"event": name, "waba_info": {"partner_app_id": APP}});
        let decision = |word: &str| json!({"decision": word});
        let alert = |severity: &str| {
            json!({"entity_type": "PHONE_NUMBER", "entity_id": id, "alert_info": {"alert_severity": severity,
                "alert_status": "ACTIVE", "alert_type": "INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED",
                "alert_description": "The limit was not raised."}})
        };
        let quality = |name: &str| json!({"display_phone_number": display, "event": name, "current_limit": "TIER_UNLIMITED"});
        let security = |name: &str| json!({"display_phone_number": display, "event": name});
        match self {
            Self::VerifiedAccount => json!({"event": "VERIFIED_ACCOUNT", "phone_number": id}),
            Self::ScheduledForDisable => ban("SCHEDULE_FOR_DISABLE"),
            Self::Disabled => ban("DISABLE"),
            Self::Reinstated => ban("REINSTATE"),
            Self::Restricted => restriction(&[BUSINESS_INITIATED, CUSTOMER_INITIATED, ADD_NUMBERS]),
            Self::RestrictedBusinessInitiated => restriction(&[BUSINESS_INITIATED, ADD_NUMBERS]),
            Self::RestrictedCustomerInitiated => restriction(&[CUSTOMER_INITIATED]),
            Self::RestrictedElsewhere => restriction(&ELSEWHERE),
            Self::Unrestricted => restriction(&[]),
            Self::AccountViolation => {
                json!({"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "ADULT"}})
            }
            Self::AccountDeleted => event("ACCOUNT_DELETED"),
            Self::AccountOffboarded => event("ACCOUNT_OFFBOARDED"),
            Self::AccountReconnected => event("ACCOUNT_RECONNECTED"),
            Self::PartnerRemoved => json!({"event": "PARTNER_REMOVED",
                "disconnection_info": {"reason": "PRIMARY_INACTIVITY", "initiated_by": "SYSTEM"}}),
            Self::PartnerAppUninstalled => about_app("PARTNER_APP_UNINSTALLED"),
            Self::PartnerAdded => event("PARTNER_ADDED"),
            Self::PartnerAppInstalled => about_app("PARTNER_APP_INSTALLED"),
            Self::AdAccountLinked => event("AD_ACCOUNT_LINKED"),
            Self::MmLiteTermsSigned => event("MM_LITE_TERMS_SIGNED"),
            Self::PartnerClientCertificationStatusUpdate => {
                event("PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE")
            }
            Self::AuthIntlPriceEligibilityUpdate => event("AUTH_INTL_PRICE_ELIGIBILITY_UPDATE"),
            Self::BusinessPrimaryLocationCountryUpdate => event("BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE"),
            Self::VolumeBasedPricingTierUpdate => event("VOLUME_BASED_PRICING_TIER_UPDATE"),
            Self::ReviewApproved => decision("APPROVED"),
            Self::ReviewRejected => decision("REJECTED"),
            Self::ReviewPending => decision("PENDING"),
            Self::ReviewDeferred => decision("DEFERRED"),
            Self::AlertCritical => alert("CRITICAL"),
            Self::AlertWarning => alert("WARNING"),
            Self::AlertInformational => alert("INFORMATIONAL"),
            Self::Flagged => quality("FLAGGED"),
            Self::Unflagged => quality("UNFLAGGED"),
            Self::Upgrade => quality("UPGRADE"),
            Self::Downgrade => quality("DOWNGRADE"),
            Self::Onboarding => quality("ONBOARDING"),
            Self::ThroughputUpgrade => quality("THROUGHPUT_UPGRADE"),
            Self::Capability => {
                json!({"max_daily_conversations_per_business": 2000, "max_phone_numbers_per_waba": 25})
            }
            Self::NumberName => json!({"display_phone_number": display, "decision": "APPROVED",
                "requested_verified_name": "Lucky Shrub", "rejection_reason": null}),
            Self::PinChanged => security("PIN_CHANGED"),
            Self::PinResetRequest => json!({"display_phone_number": display, "event": "PIN_RESET_REQUEST",
                "requester": "61555822107539"}),
            Self::PinRequestSuccess => security("PIN_REQUEST_SUCCESS"),
            Self::TemplateDisabled => json!({"event": "DISABLED", "message_template_id": 64_244_916_695_i64,
                "message_template_name": "summer", "message_template_language": "en_US", "reason": "NONE"}),
            Self::Preferences => json!({"user_preferences": [{"wa_id": "16505551234",
                "category": "marketing_messages", "value": "stop"}]}),
            Self::BusinessStatus => json!({}),
        }
    }
}
